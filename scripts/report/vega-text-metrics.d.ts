// Vega's measure of text may be replaced, which vega-typings does not say.
import type {} from "vega";

declare module "vega" {
  export const textMetrics: {
    width: (
      item: { readonly fontSize?: number; readonly fontWeight?: number | string },
      text: unknown,
    ) => number;
  };
}
