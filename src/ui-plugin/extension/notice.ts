// SPDX-License-Identifier: Apache-2.0
// What the user sees when the plugin cannot be added: a small box in a corner,
// and a command and a sidebar entry that bring it back.
import {UiDoesNotFit, property} from './ui_app';

export const NOTICE_ID = 'perfetto-dmabuf-notice';
export const COMMAND_ID = 'org.kernel.DmaBuf.ExtensionProblem';

/** One line on what went wrong, for a user. */
export function explain(error: unknown, uiVersion: string | undefined): string {
  const ui =
    uiVersion === undefined
      ? 'this version of the UI'
      : `this version of the UI (${uiVersion})`;
  const message = error instanceof Error ? error.message : String(error);
  const reason = message.split('\n').find((line) => line.trim() !== '') ?? '';
  return error instanceof UiDoesNotFit || error instanceof TypeError
    ? `DMA-BUF: the extension does not fit ${ui}: ${reason}. The UI works as ` +
        'without it. Look for a newer version of the extension.'
    : `DMA-BUF: the extension's plugin failed in ${ui}: ${reason}. The UI ` +
        'works as without it.';
}

/** The version in the address of the UI's own script, such as `v58.2`. */
export function uiVersion(page: Document): string | undefined {
  for (const script of page.querySelectorAll('script[src]')) {
    const found = /\/(v\d+\.[^/]+)\/frontend_bundle\.js/.exec(
      script.getAttribute('src')?.replace(/^(?!\/|\w+:)/, '/') ?? '',
    );
    if (found !== null) return found[1];
  }
  return undefined;
}

/** Shows a text until it is closed; a newer one takes its place. */
export function showNotice(page: Document, text: string): void {
  page.getElementById(NOTICE_ID)?.remove();
  const box = page.createElement('div');
  box.id = NOTICE_ID;
  box.setAttribute('role', 'status');
  Object.assign(box.style, {
    position: 'fixed',
    right: '16px',
    bottom: '48px',
    maxWidth: '420px',
    padding: '12px 16px',
    zIndex: '1000',
    background: '#fff8e1',
    color: '#3e2723',
    border: '1px solid #ffb300',
    borderRadius: '4px',
    font: '13px/1.4 sans-serif',
  });
  const close = page.createElement('button');
  close.type = 'button';
  close.textContent = 'Close';
  close.style.marginLeft = '12px';
  close.addEventListener('click', () => box.remove());
  // Text, never markup: an error's message can hold anything.
  box.append(page.createTextNode(text), close);
  // Not in the body: the UI draws that anew.
  page.documentElement.append(box);
}

/** Adds a command and a sidebar entry, where the UI lets us. */
export function offerAgain(app: unknown, show: () => void): void {
  const name = 'DMA-BUF: why the plugin is not there';
  attempt(property(app, 'commands'), 'registerCommand', {
    id: COMMAND_ID,
    name,
    callback: show,
  });
  attempt(property(app, 'sidebar'), 'addMenuItem', {
    section: 'support',
    text: name,
    icon: 'warning',
    action: show,
  });
}

function attempt(object: unknown, method: string, argument: object): void {
  try {
    const call = property(object, method);
    if (typeof call === 'function') Reflect.apply(call, object, [argument]);
  } catch {
    // The notice itself has been shown; there is nobody else to tell.
  }
}
