// SPDX-License-Identifier: Apache-2.0
// The PerfettoSQL package org.kernel.dmabuf, brought along by the plugin.
import type {Engine} from '../../trace_processor/engine';
import {SQL_MODULES, SQL_PACKAGE} from './sql_modules';

/**
 * Makes the tables of the package in one trace, each module when it is first
 * asked for: nobody pays for what they do not look at.
 */
export class SqlPackage {
  private readonly included = new Map<string, Promise<void>>();

  constructor(private readonly engine: Engine) {}

  /**
   * @param module such as `buffers`.
   * @throws (rejects) with the trace processor's message.
   */
  async include(module: string): Promise<void> {
    await this.includeByName(`${SQL_PACKAGE}.${module}`);
  }

  private async includeByName(name: string): Promise<void> {
    let promise = this.included.get(name);
    if (promise === undefined) {
      promise = this.load(name);
      this.included.set(name, promise);
    }
    await promise;
  }

  private async load(name: string): Promise<void> {
    try {
      // An extension server may have registered the package.
      await this.engine.query(includeStatement(name));
      return;
    } catch {
      // It has not. A plugin cannot register one, so ours is run as it stands.
    }
    const module = SQL_MODULES.find((candidate) => candidate.name === name);
    if (module === undefined) throw new Error(`there is no SQL module ${name}`);
    let {sql} = module;
    for (const other of module.includes) {
      await this.includeByName(other);
      sql = sql.replace(includeStatement(other), '');
    }
    await this.engine.query(sql);
  }
}

function includeStatement(name: string): string {
  return `INCLUDE PERFETTO MODULE ${name};`;
}
