// SPDX-License-Identifier: Apache-2.0
import {randomBytes} from 'node:crypto';
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type {AddressInfo} from 'node:net';
import {pipeline} from 'node:stream/promises';
import {OpenError} from './open_error.js';
import type {UiFile} from './ui_file.js';

/**
 * The one port of this machine that the UI's content security policy lets it
 * read from; `trace_processor_shell --httpd` listens there too.
 */
export const UI_PORT = 9001;
const LOOPBACK = '127.0.0.1';
/** No page can guess the path of the file. */
const SECRET_BYTES = 16;

export interface ServeOptions {
  readonly file: UiFile;
  /** Whose pages may read the file, as browsers send it in Origin. */
  readonly origin: string;
  /** 0: any that is free. */
  readonly port?: number;
}

export interface ServedFile {
  readonly url: string;
  /**
   * Resolves when the file was fetched as a whole, with which the server ends.
   *
   * @throws OpenError when the file cannot be read any more
   */
  readonly fetched: Promise<void>;
  /** Ends the server, whoever is reading. */
  close(): Promise<void>;
}

/**
 * Serves one file, to pages of one origin, until it was fetched once.
 *
 * @throws OpenError when the port is in use
 */
export async function serveFile(options: ServeOptions): Promise<ServedFile> {
  const {file, origin, port = UI_PORT} = options;
  const secret = randomBytes(SECRET_BYTES).toString('base64url');
  const path = `/${secret}/${encodeURIComponent(file.name)}`;
  const server = createServer();
  await listen(server, port);
  const {port: actualPort} = server.address() as AddressInfo;

  let settle!: {resolve: () => void; reject: (error: unknown) => void};
  const fetched = new Promise<void>((resolve, reject) => {
    settle = {resolve, reject};
  });
  // Whoever closes the server may not care for the file any more.
  fetched.catch(() => undefined);
  const access: Access = {origin, path, host: `${LOOPBACK}:${actualPort}`};
  server.on('request', (request, response) => {
    answer(request, response, file, access).then(
      (isWhole) => {
        if (isWhole) server.close(settle.resolve);
      },
      (error: unknown) => {
        settle.reject(error);
        response.destroy();
      },
    );
  });
  return {
    url: `http://${access.host}${path}`,
    fetched,
    close: () => close(server),
  };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const {code, message} = error;
      const reason =
        code === 'EADDRINUSE'
          ? 'it is in use, and the UI can read from no other: end what listens ' +
            "there (another 'perfetto-dmabuf open', or trace_processor_shell)"
          : message;
      reject(
        new OpenError(`cannot listen on ${LOOPBACK}:${port}: ${reason}`, {
          cause: error,
        }),
      );
    });
    server.listen(port, LOOPBACK, resolve);
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** Who may have what. */
interface Access {
  readonly origin: string;
  readonly path: string;
  /** A page that had another name resolve to us sends that name. */
  readonly host: string;
}

/** True when the whole file was sent. @throws OpenError */
async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  file: UiFile,
  access: Access,
): Promise<boolean> {
  response.setHeader('Cache-Control', 'no-store');
  response.setHeader('Connection', 'close');
  const refused = refusal(request, access);
  if (refused !== undefined) {
    response.writeHead(refused).end();
    return false;
  }
  response.setHeader('Access-Control-Allow-Origin', access.origin);
  response.setHeader('Vary', 'Origin');
  if (request.method === 'OPTIONS') {
    response.writeHead(204, preflight(request)).end();
    return false;
  }
  response.writeHead(200, {
    'Content-Type': 'application/octet-stream',
    'Content-Length': file.sizeBytes,
    'X-Content-Type-Options': 'nosniff',
    'Cross-Origin-Resource-Policy': 'same-origin',
  });
  if (request.method === 'HEAD') {
    response.end();
    return false;
  }
  return sendWhole(file, response);
}

/** The status for what is not allowed; undefined for what is. */
function refusal(
  {method = '', url, headers}: IncomingMessage,
  {origin, path, host}: Access,
): 403 | 404 | undefined {
  if (headers.host !== host) return 403;
  if (headers.origin === undefined) {
    // No page asks for it, but somebody who was given the path; or a page that
    // cannot see the answer, and would use it up.
    if ((headers['sec-fetch-site'] ?? 'none') !== 'none') return 403;
  } else if (headers.origin !== origin) {
    return 403;
  }
  const isKnown = ['GET', 'HEAD', 'OPTIONS'].includes(method);
  return url === path && isKnown ? undefined : 404;
}

/**
 * What browsers want to hear before they let a public page read from this
 * machine: https://wicg.github.io/private-network-access/, under both of the
 * names that the headers have had.
 */
function preflight({headers}: IncomingMessage): Record<string, string> {
  const allowed: Record<string, string> = {
    'Access-Control-Allow-Methods': 'GET, HEAD',
  };
  for (const network of ['private', 'local']) {
    if (headers[`access-control-request-${network}-network`] === 'true') {
      allowed[`Access-Control-Allow-${network}-Network`] = 'true';
    }
  }
  return allowed;
}

/** False when the reader went away. @throws OpenError */
async function sendWhole(
  file: UiFile,
  response: ServerResponse,
): Promise<boolean> {
  try {
    await pipeline(file.read(), response);
    return true;
  } catch (error) {
    if (error instanceof OpenError) throw error;
    return false;
  }
}
