// The SQL editor: CodeMirror with our dialect, completion and marks. The component beside it only mounts it.
import {
  acceptCompletion,
  autocompletion,
  type CompletionContext,
  type CompletionResult,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
  completionStatus,
} from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { bracketMatching, LanguageSupport } from "@codemirror/language";
import { type Diagnostic, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { EditorState, type Extension, Prec } from "@codemirror/state";
import {
  Decoration,
  type DecorationSet,
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  keymap,
  lineNumbers,
  MatchDecorator,
  placeholder,
  ViewPlugin,
  type ViewUpdate,
} from "@codemirror/view";
import { complete } from "../../lib/sql/complete";
import type { SchemaOwner } from "../../lib/sql/schema";
import { dialect } from "./dialect";
import { theme } from "./theme";

/** A place in the text with what is wrong there. */
export interface Mark {
  readonly start: number; // units of UTF-16
  readonly end: number;
  readonly message: string;
  /** Whose rule it is, for instance "clinic · role: identifier". */
  readonly about: string;
  readonly suggestion: string;
  /** What one click writes in its place. */
  readonly insert?: string | undefined;
}

export interface EditorOptions {
  readonly parent: HTMLElement;
  readonly text: string;
  readonly label: string;
  readonly hint: string;
  readonly schema: () => readonly SchemaOwner[];
  readonly changed: (text: string) => void;
  readonly run: () => void;
  readonly cancel: () => void;
}

export function createEditor(options: EditorOptions): EditorView {
  const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content;
  const extensions: Extension[] = [
    ...(nonce ? [EditorView.cspNonce.of(nonce)] : []),
    lineNumbers(),
    highlightActiveLineGutter(),
    highlightActiveLine(),
    history(),
    drawSelection(),
    bracketMatching(),
    closeBrackets(),
    autocompletion({
      override: [source(options.schema)],
      icons: false,
      maxRenderedOptions: 60,
      activateOnTypingDelay: 60,
    }),
    new LanguageSupport(dialect.language),
    parameters,
    theme,
    EditorView.lineWrapping,
    placeholder(options.hint),
    EditorView.contentAttributes.of({ "aria-label": options.label, spellcheck: "false", autocapitalize: "off" }),
    EditorView.updateListener.of((update) => {
      if (update.docChanged) options.changed(update.state.doc.toString());
    }),
    Prec.highest(keymap.of(ownKeys(options))),
    keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...completionKeymap, ...lintKeymap]),
  ];
  return new EditorView({ parent: options.parent, state: EditorState.create({ doc: options.text, extensions }) });
}

// Tab moves on, as everywhere on a page, except where it takes a completion.
function ownKeys(options: EditorOptions) {
  const run = () => {
    options.run();
    return true;
  };
  const cancel = (view: EditorView) => {
    if (completionStatus(view.state)) return false;
    options.cancel();
    return false;
  };
  return [
    { key: "Mod-Enter", run, preventDefault: true },
    { key: "Tab", run: acceptCompletion },
    { key: "Escape", run: cancel },
  ];
}

function source(schema: () => readonly SchemaOwner[]) {
  return (context: CompletionContext): CompletionResult | null => {
    const typed = context.matchBefore(/[\w".]+/);
    if (!typed && !context.explicit) return null;
    const found = complete(context.state.doc.toString(), context.pos, schema());
    if (!found) return null;
    return {
      from: found.from,
      to: found.to,
      options: found.options.map((o) => ({
        label: o.kind === "column" && o.insert.startsWith('"') ? o.insert : o.label,
        apply: o.insert,
        detail: o.detail,
        boost: o.boost,
        ...(o.about ? { info: o.about } : {}),
      })),
    };
  };
}

const matcher = new MatchDecorator({
  regexp: /\{\{[^{}]*\}\}/g,
  decoration: Decoration.mark({ class: "cm-parameter" }),
});

const parameters = ViewPlugin.fromClass(
  class {
    marks: DecorationSet;
    constructor(view: EditorView) {
      this.marks = matcher.createDeco(view);
    }
    update(update: ViewUpdate) {
      this.marks = matcher.updateDeco(update, this.marks);
    }
  },
  { decorations: (plugin) => plugin.marks },
);

/** Shows marks under the text. They follow it while it is being changed. */
export function showMarks(view: EditorView, marks: readonly Mark[]): void {
  const length = view.state.doc.length;
  const list = marks
    .filter((m) => m.end <= length && m.start < m.end)
    .map(
      (m): Diagnostic => ({
        from: m.start,
        to: m.end,
        severity: "error",
        message: m.message,
        renderMessage: () => said(m),
        actions:
          m.insert === undefined
            ? []
            : [{ name: `Write ${m.insert}`, apply: (v, from, to) => replace(v, from, to, m.insert ?? "") }],
      }),
    )
    .sort((a, b) => a.from - b.from);
  view.dispatch(setDiagnostics(view.state, list));
}

export function replace(view: EditorView, from: number, to: number, insert: string): void {
  view.dispatch({ changes: { from, to, insert }, selection: { anchor: from + insert.length }, userEvent: "input" });
  view.focus();
}

// Text of others is only ever text.
function said(mark: Mark): Node {
  const out = document.createElement("div");
  for (const [kind, text] of [
    ["strong", mark.message],
    ["div", mark.suggestion],
    ["div", mark.about],
  ] as const) {
    if (!text) continue;
    const line = document.createElement(kind);
    line.textContent = text;
    if (text === mark.about) line.className = "cm-refusal-about";
    out.append(line);
  }
  return out;
}
