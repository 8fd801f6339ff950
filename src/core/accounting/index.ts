// SPDX-License-Identifier: Apache-2.0
export * from './accountant.js';
export * from './accounting.js';
export * from './pss.js';
