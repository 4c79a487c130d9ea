// Collects garbage before a load begins: what came before it is not to be collected in the window.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Node's own collector, which has to be asked for by flag; does nothing where that can't be had. */
export function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  runInNewContext("globalThis.gc?.()");
}
