// SPDX-License-Identifier: Apache-2.0
export * from './changes.js';
export type * from './buffer_changes.js';
export type {GroupChange} from './group_changes.js';
export {judgeGrowth, type Growth, type SumChange} from './growth.js';
export type {Comparability} from './matching.js';
export type {ProcessChange, ProcessSide} from './process_changes.js';
export type {State} from './state.js';
export {compareStates, type StateDifference} from './state_difference.js';
