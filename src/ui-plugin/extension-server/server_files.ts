// SPDX-License-Identifier: Apache-2.0
// The files of the extension server, as Perfetto's
// docs/visualization/extension-server-protocol.md has them.
import {create, toBinary} from '@bufbuild/protobuf';
import {FileDescriptorSetSchema} from '@bufbuild/protobuf/wkt';
import {file_perfetto_dmabuf_dma_buf_extension} from '../../producer/trace/proto/perfetto_dmabuf/dma_buf_extension_pb.js';
import {plainSql, SQL_PACKAGE, type SqlModule} from '../sql/sql_files.js';
import {MACROS} from './macros.js';

/** All names of macros and SQL modules begin with it. */
export const NAMESPACE = SQL_PACKAGE;
/** The one module of the server. */
export const MODULE = 'default';

/**
 * Text of each file by its path under the server's address; and, for those who
 * cannot register a package, all of its SQL as one text.
 */
export function serverFiles(
  modules: readonly SqlModule[],
): ReadonlyMap<string, string> {
  const folder = `modules/${MODULE}`;
  return new Map([
    ['manifest', toText(manifest())],
    [`${folder}/macros`, toText({macros: MACROS})],
    [
      `${folder}/sql_modules`,
      toText({sql_modules: modules.map(({name, sql}) => ({name, sql}))}),
    ],
    [
      `${folder}/proto_descriptors`,
      toText({proto_descriptors: [protoDescriptors()]}),
    ],
    [`${SQL_PACKAGE}.sql`, plainSql(modules)],
  ]);
}

function manifest() {
  return {
    name: 'perfetto-dmabuf',
    namespace: NAMESPACE,
    features: ['macros', 'sql_modules', 'proto_descriptors'].map((name) => ({
      name,
    })),
    modules: [{id: MODULE, name: 'Default'}],
  };
}

/** Our extension alone, as recordings embed it: a FileDescriptorSet. */
function protoDescriptors(): string {
  const set = create(FileDescriptorSetSchema, {
    file: [file_perfetto_dmabuf_dma_buf_extension.proto],
  });
  const bytes = toBinary(FileDescriptorSetSchema, set);
  return Buffer.from(bytes).toString('base64');
}

function toText(value: object): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
