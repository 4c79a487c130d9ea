// The colours of charts, and how a variant is told apart: one colour and one shape through the whole
// record. Charts are drawn in the light values; on a page each becomes its CSS variable.

export interface ChartColor {
  /** CSS variable, without the dashes. */
  readonly token: string;
  readonly light: string;
  readonly dark: string;
}

const color = (token: string, light: string, dark: string): ChartColor => ({ token, light, dark });

export const ink = color("ink", "#15181c", "#e8eaed");
export const ink2 = color("ink2", "#464d57", "#b6bcc5");
const ink3 = color("ink3", "#666d78", "#939aa5");
const hair = color("hair", "#dde0e5", "#2d3137");
const band = color("band", "#eceef1", "#24282e");
export const paper = color("paper", "#ffffff", "#121417");

/** Okabe-Ito, darkened until 12 px text reaches 4.5:1 on paper. */
const variantColors: readonly ChartColor[] = [
  color("variant-1", "#0072b2", "#56b4e9"),
  color("variant-2", "#c05200", "#f08a4b"),
  color("variant-3", "#00795c", "#45bf95"),
  color("variant-4", "#8c5a9e", "#c79bd8"),
  color("variant-5", "#6b7280", "#a3acb8"),
  color("variant-6", "#866200", "#d9b23c"),
];

const shapes = ["circle", "diamond", "square", "triangle-up", "cross", "triangle-down"] as const;

/** Vega's name of a variant's shape. */
export type Shape = (typeof shapes)[number];

/** All colours a chart may hold, for the page's style sheet. */
export const chartColors: readonly ChartColor[] = [
  ink,
  ink2,
  ink3,
  hair,
  band,
  paper,
  ...variantColors,
];

/** Light hex value of a variant, from its place in the experiment. */
export function variantColor(place: number): string {
  return (variantColors[place % variantColors.length] ?? ink2).light;
}

/** Shape of a variant; from the seventh on colours repeat, but not together with their shape. */
export function variantShape(place: number): Shape {
  return shapes[(place + Math.floor(place / shapes.length)) % shapes.length] ?? "circle";
}

/** Area in px² at which a shape looks as large as a circle of 60. */
export function shapeArea(shape: Shape): number {
  return { circle: 60, diamond: 56, square: 50, "triangle-up": 56, cross: 64, "triangle-down": 56 }[
    shape
  ];
}
