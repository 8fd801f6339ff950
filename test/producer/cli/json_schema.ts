// SPDX-License-Identifier: Apache-2.0
// As much of JSON Schema as docs/dump.schema.json uses. A keyword that it does
// not know is an error, so that none is passed over.

interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean;
  readonly $defs?: Readonly<Record<string, Schema>>;
}

const KNOWN_KEYWORDS = new Set([
  '$schema',
  '$defs',
  '$ref',
  'title',
  'description',
  'type',
  'const',
  'enum',
  'pattern',
  'minimum',
  'items',
  'required',
  'properties',
  'additionalProperties',
]);

/** What is wrong with a value, a line each; empty when nothing. */
export function violations(value: unknown, root: unknown): string[] {
  const errors: string[] = [];
  check(value, root as Schema, 'value', root as Schema, errors);
  return errors;
}

function check(
  value: unknown,
  schema: Schema,
  path: string,
  root: Schema,
  errors: string[],
): void {
  for (const keyword of Object.keys(schema)) {
    if (!KNOWN_KEYWORDS.has(keyword)) throw new Error(`keyword ${keyword}`);
  }
  const fail = (what: string): void => {
    errors.push(`${path}: ${what}`);
  };
  if (schema.$ref !== undefined) {
    const name = schema.$ref.replace('#/$defs/', '');
    const target = root.$defs?.[name];
    if (target === undefined) throw new Error(`no ${schema.$ref}`);
    check(value, target, path, root, errors);
  }
  if (schema.type !== undefined && !isOfType(value, schema.type)) {
    fail(`is no ${schema.type}`);
    return;
  }
  if (schema.const !== undefined && value !== schema.const) {
    fail(`is not ${String(schema.const)}`);
  }
  if (schema.enum?.includes(value) === false) fail('is not in enum');
  if (
    schema.pattern !== undefined &&
    !new RegExp(schema.pattern).test(String(value))
  ) {
    fail(`does not match ${schema.pattern}`);
  }
  if (schema.minimum !== undefined && Number(value) < schema.minimum) {
    fail(`is below ${schema.minimum}`);
  }
  if (schema.items !== undefined) {
    for (const [i, item] of (value as unknown[]).entries()) {
      check(item, schema.items, `${path}[${i}]`, root, errors);
    }
  }
  if (schema.properties !== undefined) {
    checkMembers(value as Record<string, unknown>, schema, path, root, errors);
  }
}

function checkMembers(
  value: Record<string, unknown>,
  schema: Schema,
  path: string,
  root: Schema,
  errors: string[],
): void {
  for (const name of schema.required ?? []) {
    if (!Object.hasOwn(value, name)) errors.push(`${path}: has no ${name}`);
  }
  for (const [name, member] of Object.entries(value)) {
    const known = schema.properties?.[name];
    if (known !== undefined) {
      check(member, known, `${path}.${name}`, root, errors);
    } else if (schema.additionalProperties === false) {
      errors.push(`${path}: ${name} is not in the schema`);
    }
  }
}

function isOfType(value: unknown, type: string): boolean {
  switch (type) {
    case 'object':
      return typeof value === 'object' && value !== null && !isArray(value);
    case 'array':
      return isArray(value);
    case 'integer':
      return Number.isInteger(value);
    default:
      return typeof value === type;
  }
}

function isArray(value: unknown): boolean {
  return Array.isArray(value);
}
