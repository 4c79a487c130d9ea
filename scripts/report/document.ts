// The record as a small document model: what the notebook's prose and cells yield, in one language,
// and what html.ts and markdown.ts print. No markup in it, and nothing left to compute.
import type { Verdict } from "../audit/finding.ts";
import type { Language } from "../experiment/experiment.ts";
import type { PrintedNumber } from "./record-numbers.ts";

/** The four marks: the three verdicts, and a rule that could not be checked. */
export type Mark = Verdict | "not_checked";

export type Inline =
  /** Prose of ours, already set for its language. */
  | { readonly kind: "text"; readonly text: string }
  /** Text from outside, shown as it is: host names, model output, titles. */
  | { readonly kind: "data"; readonly text: string }
  | { readonly kind: "strong" | "emphasis"; readonly children: readonly Inline[] }
  | { readonly kind: "code"; readonly text: string }
  | { readonly kind: "link"; readonly href: string; readonly children: readonly Inline[] }
  | { readonly kind: "break" }
  /** `unit`: printed after the value (prose), not in a column whose head has it. */
  | {
      readonly kind: "number";
      readonly number: PrintedNumber;
      readonly unit: boolean;
      readonly footnote?: string;
    }
  | { readonly kind: "mark"; readonly mark: Mark; readonly label: string }
  /** A variant's name behind its symbol; `place` picks colour and shape, from 0. */
  | { readonly kind: "variant"; readonly place: number; readonly label: string }
  | { readonly kind: "absent"; readonly text: string };

/** How an output was made: the metric (or query) and its definition. */
export interface Computed {
  readonly source: string;
  readonly definition: string;
}

export interface HeadCell {
  readonly content: readonly Inline[];
  readonly unit: string | undefined;
  readonly numeric: boolean;
  readonly columns: number;
  readonly rows: number;
  /** Spans the columns beneath it. */
  readonly group: boolean;
}

export interface TableCell {
  readonly content: readonly Inline[];
  readonly numeric: boolean;
  /** Heads its row. */
  readonly head: boolean;
  readonly columns: number;
  /** What the cell sorts by; absent: its text. */
  readonly sort?: string;
  /** Anchor of the cell. */
  readonly id?: string;
  /** A value of an invalid point in a row that has valid ones too. */
  readonly struck?: boolean;
  /** Long text that may wrap. */
  readonly wide?: boolean;
}

export interface TableRow {
  readonly kind: "row" | "reason";
  /** Values of an invalid point: shown, struck. */
  readonly struck: boolean;
  readonly cells: readonly TableCell[];
}

export interface Table {
  readonly kind: "table";
  readonly id: string;
  /** "表 3"; undefined: no caption number. */
  readonly numbered: string | undefined;
  readonly caption: readonly Inline[];
  readonly label: string;
  /** One or two rows; none for a table of keys and values. */
  readonly head: readonly (readonly HeadCell[])[];
  /** What is sorted and never cut: a row and the reason under it. */
  readonly bodies: readonly (readonly TableRow[])[];
  /** Wide: many columns, first one sticks. Plain: as wide as the text needs. Pairs: key and value. */
  readonly layout: "wide" | "plain" | "pairs";
  readonly sortable: boolean;
  readonly notes: readonly (readonly Inline[])[];
  readonly computed: readonly Computed[];
}

interface FieldRow {
  readonly label: readonly Inline[];
  readonly value: readonly Inline[];
  readonly source: string;
}

export interface Figure {
  readonly kind: "figure";
  readonly id: string;
  readonly numbered: string;
  /** Name of its file beside the Markdown: the same for the same chart of the same points, and for no other. */
  readonly name: string;
  readonly finding: string;
  readonly caption: readonly Inline[];
  /** SVG 744 (468 on the cover) and 346 wide, in plain colours. */
  readonly wide: string;
  readonly narrow: string;
  readonly computed: readonly Computed[];
}

export type Block =
  | {
      readonly kind: "heading";
      readonly level: 2 | 3 | 4;
      readonly id: string;
      readonly number: string | undefined;
      readonly content: readonly Inline[];
    }
  | { readonly kind: "paragraph"; readonly content: readonly Inline[] }
  | {
      readonly kind: "list";
      readonly ordered: boolean;
      readonly items: readonly (readonly Block[])[];
    }
  | { readonly kind: "quote"; readonly blocks: readonly Block[] }
  | { readonly kind: "code"; readonly text: string; readonly command: boolean }
  | { readonly kind: "line" }
  | Table
  | Figure
  | {
      readonly kind: "fields";
      readonly label: string;
      readonly groups: readonly { readonly title: string; readonly rows: readonly FieldRow[] }[];
    }
  | {
      readonly kind: "folded";
      readonly title: readonly Inline[];
      readonly detail: string;
      readonly blocks: readonly Block[];
    }
  | {
      readonly kind: "terms";
      readonly terms: readonly { readonly term: string; readonly meaning: string }[];
    };

export interface CoverReason {
  readonly mark: Mark;
  readonly label: string;
  readonly content: readonly Inline[];
}

/** The head of a page that judges no run. */
interface Lede {
  readonly title: string;
  readonly subtitle: string;
}

export interface Cover extends Lede {
  readonly mark: Mark;
  readonly verdict: string;
  readonly reasons: readonly CoverReason[];
  readonly figure: Figure | undefined;
  readonly headline: Table | undefined;
  /** Definition of the numbers, tester and time, how to verify. */
  readonly facts: readonly {
    readonly label: string;
    readonly value: readonly Inline[];
    readonly command: boolean;
  }[];
}

/** What one HTML file is made from: a record, or a comparison of two runs. */
export interface PageDocument {
  readonly language: Language;
  /** undefined: a page that is no record. */
  readonly recordId: string | undefined;
  readonly date: string;
  readonly tool: string;
  readonly cover: Cover | Lede;
  /** In order; a heading of level 2 begins a section. */
  readonly blocks: readonly Block[];
}

export interface RecordDocument extends PageDocument {
  readonly recordId: string;
  readonly run: string;
  readonly cover: Cover;
}

/** The words of inlines, without marks and numbers' intervals: for labels and for looking up. */
export function plainText(content: readonly Inline[]): string {
  return content
    .map((inline) => {
      switch (inline.kind) {
        case "text":
        case "data":
        case "code":
        case "absent":
          return inline.text;
        case "strong":
        case "emphasis":
        case "link":
          return plainText(inline.children);
        case "break":
          return " ";
        case "number":
          return inline.number.text ?? "–";
        case "mark":
        case "variant":
          return inline.label;
      }
    })
    .join("");
}
