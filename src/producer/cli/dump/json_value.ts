// SPDX-License-Identifier: Apache-2.0

/** A JSON text that is not what it should be; says where and what. */
export class JsonShapeError extends Error {
  override readonly name = 'JsonShapeError';
}

/** A value in a JSON document and the way to it, for messages. */
export class JsonValue {
  constructor(
    private readonly value: unknown,
    private readonly path: string,
  ) {}

  /** @throws JsonShapeError, as do the others, when it is something else */
  object(): JsonObject {
    const {value} = this;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw this.wrong('an object');
    }
    return new JsonObject(value as Record<string, unknown>, this.path);
  }

  array(): JsonValue[] {
    if (!Array.isArray(this.value)) throw this.wrong('an array');
    return this.value.map(
      (item: unknown, i) => new JsonValue(item, `${this.path}[${i}]`),
    );
  }

  string(): string {
    if (typeof this.value !== 'string') throw this.wrong('a string');
    return this.value;
  }

  oneOf<T extends string>(...choices: readonly T[]): T {
    const found = choices.find((choice) => choice === this.value);
    if (found === undefined) throw this.wrong(`one of ${choices.join(', ')}`);
    return found;
  }

  boolean(): boolean {
    if (typeof this.value !== 'boolean') throw this.wrong('true or false');
    return this.value;
  }

  /** A whole number from 0 on that a double holds exactly. */
  count(): number {
    const {value} = this;
    if (
      typeof value !== 'number' ||
      !Number.isSafeInteger(value) ||
      value < 0
    ) {
      throw this.wrong('a whole number');
    }
    return value;
  }

  /** Decimal digits in a string, at most 64 bits' worth. */
  bigint(): bigint {
    const {value} = this;
    if (typeof value !== 'string' || !/^\d{1,20}$/.test(value)) {
      throw this.wrong('decimal digits in a string');
    }
    return BigInt(value);
  }

  /** As bigint, with a sign. */
  signedBigint(): bigint {
    const {value} = this;
    if (typeof value !== 'string' || !/^-?\d{1,20}$/.test(value)) {
      throw this.wrong('decimal digits in a string');
    }
    return BigInt(value);
  }

  /** Bytes in hexadecimal, as a kernel's raw text. */
  hex(): string {
    const {value} = this;
    if (typeof value !== 'string' || !/^([0-9a-f]{2})*$/i.test(value)) {
      throw this.wrong('bytes in hexadecimal');
    }
    return value.replace(/../g, (pair) =>
      String.fromCharCode(Number.parseInt(pair, 16)),
    );
  }

  wrong(expected: string): JsonShapeError {
    return new JsonShapeError(`${this.path} is not ${expected}`);
  }
}

export class JsonObject {
  constructor(
    private readonly members: Record<string, unknown>,
    private readonly path: string,
  ) {}

  /** @throws JsonShapeError when there is no such member */
  get(name: string): JsonValue {
    const value = this.find(name);
    if (value === undefined) {
      throw new JsonShapeError(`${this.path} has no ${name}`);
    }
    return value;
  }

  /** Undefined when there is no such member: it is not known. */
  find(name: string): JsonValue | undefined {
    if (!Object.hasOwn(this.members, name)) return undefined;
    return new JsonValue(this.members[name], `${this.path}.${name}`);
  }
}
