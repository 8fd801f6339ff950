// SPDX-License-Identifier: Apache-2.0
import {indexAt} from './time_picker';

const STAMPS = [10n, 20n, 30n];

test.each([
  [0n, 0],
  [10n, 0],
  [19n, 0],
  [20n, 1],
  [30n, 2],
  [99n, 2],
])('the stamp that holds at %s', (ts, index) => {
  expect(indexAt(STAMPS, ts)).toBe(index);
});
