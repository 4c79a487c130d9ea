// Calibrations of the client as they are read back: all of them, and those that a run went by.
import type { Database } from "better-sqlite3";
import type { Calibration } from "../bench/calibration.ts";
import { parseStored } from "./stored-json.ts";

export interface StoredCalibration {
  /** Its number within the file. */
  readonly id: number;
  readonly calibration: Calibration;
}

export interface LegCalibration extends StoredCalibration {
  readonly leg: number;
}

export function readCalibrations(db: Database): readonly StoredCalibration[] {
  return db
    .prepare<[], { readonly id: number; readonly json: string }>(
      "SELECT id, calibration_json AS json FROM calibration_row ORDER BY id",
    )
    .all()
    .map(({ id, json }) => ({ id, calibration: parseStored(json) as Calibration }));
}

export function readLegCalibrations(db: Database, run: string): readonly LegCalibration[] {
  return db
    .prepare<[string], { readonly id: number; readonly leg: number; readonly json: string }>(
      `SELECT c.id, l.leg, c.calibration_json AS json
       FROM leg_calibration_row l JOIN calibration_row c ON c.id = l.calibration
       WHERE l.run = ? ORDER BY l.leg`,
    )
    .all(run)
    .map(({ id, leg, json }) => ({ id, leg, calibration: parseStored(json) as Calibration }));
}
