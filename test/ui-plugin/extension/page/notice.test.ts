// SPDX-License-Identifier: Apache-2.0
import {JSDOM} from 'jsdom';
import {describe, expect, it, vi} from 'vitest';
import {
  NOTICE_ID,
  explain,
  offerAgain,
  showNotice,
  uiVersion,
} from '../../../../src/ui-plugin/extension/notice';
import {UiDoesNotFit} from '../../../../src/ui-plugin/extension/ui_app';

describe('explain', () => {
  it('says that the extension does not fit, and that the UI works', () => {
    expect(explain(new UiDoesNotFit('it has no tracks'), 'v40.0')).toBe(
      'DMA-BUF: the extension does not fit this version of the UI (v40.0): ' +
        'it has no tracks. The UI works as without it. Look for a newer ' +
        'version of the extension.',
    );
  });

  it('says of another error that the plugin failed', () => {
    expect(explain(new Error('\nno such table: x\n  at y'), undefined)).toBe(
      "DMA-BUF: the extension's plugin failed in this version of the UI: " +
        'no such table: x. The UI works as without it.',
    );
  });
});

describe('uiVersion', () => {
  const versionIn = (html: string): string | undefined =>
    uiVersion(new JSDOM(html).window.document);

  it.each(['v58.2/', '/v58.2/', 'https://ui.perfetto.dev/v58.2/'])(
    'is in the address of the script: %s',
    (folder) => {
      const html = `<script src="${folder}frontend_bundle.js"></script>`;
      expect(versionIn(html)).toBe('v58.2');
    },
  );

  it('is unknown where the page does not tell', () => {
    expect(versionIn('<script src="frontend_bundle.js"></script>')).toBe(
      undefined,
    );
  });
});

function boxesIn(document: Document): readonly Element[] {
  return [...document.querySelectorAll(`#${NOTICE_ID}`)];
}

describe('showNotice', () => {
  it('shows text, never markup', () => {
    const {document} = new JSDOM('').window;
    showNotice(document, '<img src=x onerror=alert(1)>');
    const box = document.getElementById(NOTICE_ID);
    expect(box?.textContent).toContain('<img src=x onerror=alert(1)>');
    expect(box?.childElementCount).toBe(1);
  });

  it('survives that the UI draws its body anew', () => {
    const {document} = new JSDOM('').window;
    showNotice(document, 'x');
    document.body.innerHTML = '';
    expect(boxesIn(document)).toHaveLength(1);
  });

  it('is there once, until it is closed', () => {
    const {document} = new JSDOM('').window;
    showNotice(document, 'first');
    showNotice(document, 'second');
    expect(boxesIn(document).map((box) => box.firstChild?.textContent)).toEqual(
      ['second'],
    );
    document.querySelector('button')?.click();
    expect(boxesIn(document)).toEqual([]);
  });
});

describe('offerAgain', () => {
  it('adds a command and a sidebar entry', () => {
    const registerCommand = vi.fn();
    const addMenuItem = vi.fn();
    const show = vi.fn();
    offerAgain({commands: {registerCommand}, sidebar: {addMenuItem}}, show);
    expect(registerCommand.mock.calls[0]?.[0]).toMatchObject({callback: show});
    expect(addMenuItem.mock.calls[0]?.[0]).toMatchObject({action: show});
  });

  it('does without them where the UI has no such thing', () => {
    const registerCommand = (): never => {
      throw new Error('registered already');
    };
    offerAgain({commands: {registerCommand}}, vi.fn());
    offerAgain(undefined, vi.fn());
  });
});
