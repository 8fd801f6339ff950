// SPDX-License-Identifier: Apache-2.0
import type {
  DatasetSchema,
  SourceDataset as Declared,
} from '../../../../../src/ui-plugin/api/trace_processor/dataset';

type Config<T extends DatasetSchema> = ConstructorParameters<
  typeof Declared<T>
>[0];

export class SourceDataset<
  T extends DatasetSchema = DatasetSchema,
> implements Declared<T> {
  readonly src: string;
  readonly schema: T;
  readonly filter?: Config<T>['filter'];
  private readonly select: Config<T>['select'];

  constructor({src, schema, filter, select}: Config<T>) {
    this.src = src;
    this.schema = schema;
    this.filter = filter;
    this.select = select;
  }

  query(): string {
    const columns = Object.keys(this.schema).map((name) => {
      const expression = this.select?.[name];
      return expression === undefined ? name : `${expression} AS ${name}`;
    });
    return `SELECT ${columns.join(', ')} FROM (${this.src})${this.where()}`;
  }

  private where(): string {
    const {filter} = this;
    if (filter === undefined) return '';
    const values = 'in' in filter ? filter.in : [filter.eq];
    return ` WHERE ${filter.col} IN (${values.join(', ')})`;
  }
}
