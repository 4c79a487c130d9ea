// What the main thread and the client threads of a trial say to each other.
import type { UserErrorParts } from "../errors.ts";
import type { RequestBatch } from "../workload/requests.ts";
import type { DriveInput } from "./drive.ts";
import type { LoadEnd, LoadProgress, LoadShare } from "./load.ts";
import type { RecordBatch } from "./record-batch.ts";

/** What a client thread is started with. */
export interface ThreadTask {
  /** Everything of a drive that can be sent: its requests, signal and zero follow as messages. */
  readonly input: Omit<DriveInput, "source" | "signal" | "onProgress" | "zeroMs">;
  readonly share: LoadShare;
  /** Whether the thread never sleeps while it drives. */
  readonly poll: boolean;
  /** Shared by all threads of the trial. */
  readonly memory: SharedArrayBuffer;
  /** int32 [threads]: each thread's highest request asked for, plus 1. */
  readonly asked: SharedArrayBuffer;
}

export type ToThread =
  | { readonly kind: "batch"; readonly batch: RequestBatch }
  /** Begin, with this zero. Sent once all threads are ready. */
  | { readonly kind: "go"; readonly zeroMs: number }
  /** Another thread changed something that all share. */
  | { readonly kind: "poke" }
  | { readonly kind: "abort"; readonly reason: string };

export type FromThread =
  /** Warm, its connections open, its first requests at hand. */
  | { readonly kind: "ready" }
  | { readonly kind: "records"; readonly batch: RecordBatch; readonly progress?: LoadProgress }
  | { readonly kind: "progress"; readonly progress: LoadProgress }
  /** The other threads are to look at what they share. */
  | { readonly kind: "others" }
  | { readonly kind: "ended"; readonly end: LoadEnd }
  | { readonly kind: "failed"; readonly error: ThrownError };

/** An error on its way between threads; `parts` of a UserError. */
interface ThrownError {
  readonly message: string;
  readonly stack: string | undefined;
  readonly parts: readonly UserErrorParts[] | undefined;
}
