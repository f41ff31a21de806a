// What the consumer and the store say is wrong, in words.

import { integer } from "./format.js";

export function warningsOf(state) {
  const found = [];
  const status = state.consumer?.status ?? {};
  const writer = status.writer ?? {};
  if (state.store) return [state.store];
  if (status.reading_stopped) {
    found.push("back-pressure: reading from the detector is held up");
  }
  if (writer.connected === false) {
    found.push(`storing late: ${writer.last_error ?? "the store does not answer"}`);
  } else if (writer.spooled_bytes > 0) {
    found.push(`storing late: ${integer(writer.spooled_bytes / 1e6)} MB in the spool file`);
  }
  if (writer.lost_records > 0) found.push(`${integer(writer.lost_records)} records lost`);
  if (writer.lost_entries > 0) found.push(`${integer(writer.lost_entries)} entries lost`);
  const rejected = Object.values(status.rejected_messages ?? {});
  const total = rejected.reduce((sum, n) => sum + Number(n), 0);
  if (total > 0) found.push(`${integer(total)} messages of the stream not understood`);
  for (const source of Object.values(status.sources ?? {})) {
    const live = ["no_data", "armed", "collecting"].includes(source.state);
    if (source.connected === false && live && source !== status.sources.replay) {
      found.push(`no connection to the detector at ${source.endpoint}`);
    }
  }
  return found;
}
