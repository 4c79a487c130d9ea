// subset-font ships no types; what fonts.ts uses of it.
declare module "subset-font" {
  export default function subsetFont(
    font: Buffer,
    text: string,
    options: {
      readonly targetFormat: "woff" | "woff2" | "sfnt";
      readonly keepFeatures?: readonly string[];
      readonly noLayoutClosure?: boolean;
    },
  ): Promise<Buffer>;
}
