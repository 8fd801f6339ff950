// SPDX-License-Identifier: Apache-2.0
// Draws what the plugin shows, and reads and clicks it as a user would.
import './dom.js';
import m from 'mithril';

/** Something the plugin draws again and again. */
export class Page {
  private readonly root = document.createElement('div');

  constructor(private readonly render: () => m.Children) {
    document.body.append(this.root);
    this.draw();
  }

  draw(): void {
    m.render(this.root, this.render());
  }

  /** Draws until nothing is being loaded, at most ten seconds. */
  async settle(): Promise<void> {
    const endMs = Date.now() + 10_000;
    this.draw();
    while (this.text().includes('Loading…')) {
      if (Date.now() > endMs) throw new Error(`still loading: ${this.text()}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
      this.draw();
    }
  }

  /** Lines of text, a table's cells separated by ` | `. */
  text(): string {
    return textOf(this.root).join('\n');
  }

  /** The rows of the tables, as their cells' texts. */
  rows(): string[][] {
    return [...this.root.querySelectorAll('tbody tr')].map((row) =>
      [...row.querySelectorAll('td')].map((cell) => cell.textContent ?? ''),
    );
  }

  find(selector: string): Element {
    const found = this.root.querySelector(selector);
    if (found === null) throw new Error(`no ${selector} in ${this.text()}`);
    return found;
  }

  /** Clicks the first button or link whose text begins so. */
  async click(label: string): Promise<void> {
    const all = [...this.root.querySelectorAll('button, a')];
    const found = all.find((e) => e.textContent?.startsWith(label) === true);
    if (found === undefined) throw new Error(`no ${label} in ${this.text()}`);
    await this.clickOn(found);
  }

  async clickOn(element: Element): Promise<void> {
    element.dispatchEvent(new window.MouseEvent('click', {bubbles: true}));
    await this.settle();
  }

  async type(selector: string, text: string): Promise<void> {
    const input = this.find(selector);
    if (!(input instanceof HTMLInputElement)) throw new Error('no input');
    input.value = text;
    input.dispatchEvent(new window.Event('input', {bubbles: true}));
    await this.settle();
  }
}

function textOf(element: Element): string[] {
  const cells = [...element.children].filter((e) => /^T[DH]$/.test(e.tagName));
  if (cells.length > 0) {
    return [cells.map((cell) => cell.textContent ?? '').join(' | ')];
  }
  if (element.children.length === 0) return [element.textContent ?? ''];
  return [...element.childNodes].flatMap((child) =>
    child instanceof window.Element ? textOf(child) : [child.textContent ?? ''],
  );
}
