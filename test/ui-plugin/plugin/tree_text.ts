// SPDX-License-Identifier: Apache-2.0
import type {TrackNode} from '../../../src/ui-plugin/api/public/workspace';

/** The tree as indented lines of names. */
export function treeText(node: TrackNode, indent = ''): string[] {
  return node.children.flatMap((child) => [
    indent + child.name,
    ...treeText(child, `${indent}  `),
  ]);
}
