// Keeps a few requests ready before a slot needs them: making a prompt takes time that must not
// fall between a slot's becoming free and its next request.
import type { PreparedRequest, RequestSource } from "../workload/prompts.ts";

export interface PreparedAhead {
  /** The next request, in order from 0. @throws what the source threw for it */
  take(): PreparedRequest;
  /** Prepares no more. */
  stop(): void;
}

/**
 * Asks the source for `depth` requests at once, then for one more per turn of the event loop as they
 * are taken; never for one beyond `total`.
 *
 * @throws what the source throws for the first `depth` requests
 */
export function prepareAhead(
  source: RequestSource,
  {
    depth,
    total = Number.POSITIVE_INFINITY,
  }: { readonly depth: number; readonly total?: number | undefined },
): PreparedAhead {
  const ready: PreparedRequest[] = [];
  let nextIndex = 0;
  let refill: NodeJS.Immediate | undefined;
  let failure: { readonly error: unknown } | undefined;

  const prepareOne = (): void => {
    ready.push(source(nextIndex));
    nextIndex += 1;
  };
  const wantsMore = (): boolean =>
    ready.length < depth && nextIndex < total && failure === undefined;
  const schedule = (): void => {
    if (refill === undefined && wantsMore()) {
      refill = setImmediate(() => {
        refill = undefined;
        // Kept for the one who needs that request; there may be nobody.
        try {
          if (wantsMore()) prepareOne();
        } catch (error) {
          failure = { error };
        }
        schedule();
      });
    }
  };

  while (wantsMore()) prepareOne();
  return {
    take() {
      if (ready.length === 0 && failure === undefined) prepareOne();
      const request = ready.shift();
      if (request === undefined) throw failure?.error;
      schedule();
      return request;
    },
    stop() {
      clearImmediate(refill);
    },
  };
}
