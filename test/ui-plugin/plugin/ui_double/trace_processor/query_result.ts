// SPDX-License-Identifier: Apache-2.0
export const NUM = 0;
export const NUM_NULL: number | null = 1;
export const STR = 'str';
export const STR_NULL: string | null = 'str_null';
export const LONG = 0n;
export const LONG_NULL: bigint | null = 1n;
