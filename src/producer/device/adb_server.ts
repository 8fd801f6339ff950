// SPDX-License-Identifier: Apache-2.0
import {deviceError, hungServerError, serverError} from './adb_errors.js';
import type {Connection} from './adbkit.js';
import {HostTransportCommand} from './adbkit.js';
import type {ListedDevice} from './device_list.js';
import {parseDeviceList} from './device_list.js';
import {HostQueryCommand} from './host_query_command.js';
import type {ServerAddress} from './server_address.js';
import {ServerConnection} from './server_connection.js';
import type {ServerStarter} from './server_starter.js';
import {START_LIMIT_MS} from './server_starter.js';
import {withTimeLimit} from './time_limit.js';

/** How long the server may take for an answer that it has at hand. */
export const ANSWER_LIMIT_MS = 5_000;

export interface QueryOptions {
  /** Whether a server may be started if none runs; yes unless told. */
  readonly mayStart?: boolean;
  readonly limitMs?: number;
}

/** The adb server on this machine or another, and requests to it. */
export class AdbServer {
  constructor(
    readonly address: ServerAddress,
    private readonly starter: ServerStarter,
  ) {}

  /** Whether the server was started by this object. */
  get started(): boolean {
    return this.starter.started;
  }

  /** @throws DeviceError */
  async devices(options?: QueryOptions): Promise<ListedDevice[]> {
    return parseDeviceList(await this.query('host:devices-l', options));
  }

  /**
   * Asks the server something (`host:...`) and gives its answer.
   *
   * @throws DeviceError
   */
  async query(request: string, options: QueryOptions = {}): Promise<string> {
    const connection = await this.connect(options.mayStart ?? true);
    try {
      return await this.limited(
        connection,
        new HostQueryCommand(connection).execute(request),
        options.limitMs ?? ANSWER_LIMIT_MS,
      );
    } catch (error) {
      throw serverError(error, this.address);
    } finally {
      connection.socket.destroy();
    }
  }

  /**
   * A connection that speaks to a device from now on. The caller destroys its
   * socket.
   *
   * @throws DeviceError
   */
  async connectDevice(
    serial: string,
    limitMs = ANSWER_LIMIT_MS,
  ): Promise<Connection> {
    const connection = await this.connect(true);
    try {
      await this.limited(
        connection,
        new HostTransportCommand(connection).execute(serial),
        limitMs,
      );
      return connection;
    } catch (error) {
      connection.socket.destroy();
      throw deviceError(error, serial, this.address);
    }
  }

  private async connect(mayStart: boolean): Promise<Connection> {
    const connection = new ServerConnection(
      this.address,
      mayStart ? this.starter : undefined,
    );
    try {
      await this.limited(
        connection,
        connection.connect(),
        ANSWER_LIMIT_MS + (mayStart ? START_LIMIT_MS : 0),
      );
      return connection;
    } catch (error) {
      connection.socket.destroy();
      throw serverError(error, this.address);
    }
  }

  private limited<T>(
    connection: Connection,
    work: PromiseLike<T>,
    limitMs: number,
  ): Promise<T> {
    return withTimeLimit(work, limitMs, () => {
      connection.socket.destroy();
      return hungServerError(this.address);
    });
  }
}
