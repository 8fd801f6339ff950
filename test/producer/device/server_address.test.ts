// SPDX-License-Identifier: Apache-2.0
import {describe, expect, it} from 'vitest';
import {
  isLocal,
  serverAddress,
} from '../../../src/producer/device/server_address.js';

describe('serverAddress', () => {
  it.each([
    ['nothing set', {}, '127.0.0.1', 5037],
    [
      'empty variables',
      {ADB_SERVER_SOCKET: '', ANDROID_ADB_SERVER_PORT: ''},
      '127.0.0.1',
      5037,
    ],
    ['a port', {ANDROID_ADB_SERVER_PORT: '6000'}, '127.0.0.1', 6000],
    ['an address', {ANDROID_ADB_SERVER_ADDRESS: '10.0.0.2'}, '10.0.0.2', 5037],
    ['a socket of a port', {ADB_SERVER_SOCKET: 'tcp:6001'}, '127.0.0.1', 6001],
    [
      'a socket of host and port',
      {ADB_SERVER_SOCKET: 'tcp:box:6001'},
      'box',
      6001,
    ],
    [
      'a socket of IPv6',
      {ADB_SERVER_SOCKET: 'tcp:[fe80::1]:6001'},
      'fe80::1',
      6001,
    ],
    [
      'a socket and a port',
      {ADB_SERVER_SOCKET: 'tcp:6001', ANDROID_ADB_SERVER_PORT: '6000'},
      '127.0.0.1',
      6001,
    ],
  ])('with %s is what adb takes', (_, env, host, port) => {
    expect(serverAddress(env)).toEqual({host, port});
  });

  it.each([
    [{ANDROID_ADB_SERVER_PORT: 'x'}, /ANDROID_ADB_SERVER_PORT has 'x'/],
    [{ANDROID_ADB_SERVER_PORT: '0'}, /from 1 to 65535/],
    [{ANDROID_ADB_SERVER_PORT: '65536'}, /from 1 to 65535/],
    [{ADB_SERVER_SOCKET: 'tcp:box:'}, /ADB_SERVER_SOCKET is 'tcp:box:'/],
    [{ADB_SERVER_SOCKET: 'localfilesystem:/x'}, /unset ADB_SERVER_SOCKET/],
  ])('of %o is an error that names it', (env, message) => {
    expect(() => serverAddress(env)).toThrow(message);
  });
});

describe('isLocal', () => {
  it('tells where a server can be started', () => {
    expect(isLocal({host: 'localhost', port: 1})).toBe(true);
    expect(isLocal({host: '::1', port: 1})).toBe(true);
    expect(isLocal({host: 'box', port: 1})).toBe(false);
  });
});
