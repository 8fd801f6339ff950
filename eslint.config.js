// SPDX-License-Identifier: Apache-2.0
// The rules Perfetto's UI holds its plugins to, plus one of ours: the core
// stays free of the producer and of Node.
import js from '@eslint/js';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  {
    ignores: [
      'dist/',
      '.cache/',
      'coverage/',
      'src/producer/trace/proto/',
      'test/fixtures/',
    ],
  },
  js.configs.recommended,
  ...tseslint.configs.strict,
  {
    files: ['**/*.ts'],
    languageOptions: {
      parserOptions: {
        projectService: true,
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/strict-boolean-expressions': [
        'error',
        {allowNumber: false, allowString: true, allowNullableBoolean: true},
      ],
      '@typescript-eslint/no-unused-vars': [
        'error',
        {argsIgnorePattern: '^_', varsIgnorePattern: '^_'},
      ],
      eqeqeq: 'error',
      'no-console': 'error',
      'no-restricted-syntax': [
        'error',
        {
          // Comparing with it is fine: RegExp.exec gives it.
          selector: ':not(BinaryExpression) > Literal[raw="null"]',
          message: 'undefined, not null',
        },
      ],
      // Kernel text holds control characters; so do the patterns that read it.
      'no-control-regex': 'off',
    },
  },
  {
    files: ['src/core/**/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              group: ['node:*', '**/producer/**', '**/ui-plugin/**'],
              message: 'src/core is pure and runs in a browser too',
            },
          ],
        },
      ],
      'no-restricted-globals': [
        'error',
        'process',
        'Buffer',
        'setTimeout',
        'setInterval',
        'Date',
        'performance',
      ],
    },
  },
  {
    // Perfetto's UI as it is: classes of functions, and NULL as null.
    files: ['src/ui-plugin/api/**/*.ts', 'test/ui-plugin/plugin/**/*.ts'],
    rules: {
      '@typescript-eslint/no-extraneous-class': 'off',
      'no-restricted-syntax': 'off',
    },
  },
  {
    files: ['src/ui-plugin/api/**/*.d.ts'],
    rules: {'@typescript-eslint/no-unused-vars': 'off'},
  },
  {
    files: ['**/*.js', '**/*.mjs'],
    languageOptions: {globals: {process: 'readonly'}},
  },
);
