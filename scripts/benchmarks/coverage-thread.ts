// Thread of the coverage table: does the pieces that it is sent, one after another.
import { parentPort } from "node:worker_threads";
import { type Job, runJob } from "./coverage-jobs.ts";

parentPort?.on("message", (job: Job) => {
  // A failure leaves the promise rejected, which ends the thread with the reason.
  void runJob(job).then((result) => {
    parentPort?.postMessage(result);
  });
});
