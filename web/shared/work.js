// What is being done in a run, in words.
import { mark, t } from "./language.js";
import { duration } from "./words.js";

/** The steps of the loop: name, and what is said while they run. */
export const STEPS = {
  prompts: { name: mark("Prompts"), doing: mark("Preparing prompts") },
  videos: { name: mark("Videos"), doing: mark("Generating videos") },
  tracks: { name: mark("Detection"), doing: mark("Detecting") },
  scores: { name: mark("Scores"), doing: mark("Scoring") },
  pairs: { name: mark("Pairs"), doing: mark("Exporting pairs") },
  training: { name: mark("Training"), doing: mark("Training") },
  rounds: { name: mark("Rounds"), doing: mark("Running rounds") },
  evaluation: { name: mark("Evaluation"), doing: mark("Evaluating") },
  comparison: { name: mark("Comparison"), doing: mark("Comparing") },
};

/** Whether somebody works in the run now, or is between two steps. */
export function isActive(work) {
  return ["working", "paused", "between"].includes(work?.state);
}

/** The present step, or how the last one ended, in a few words; "" where there is nothing to say. */
export function workWords(work) {
  const step = STEPS[work?.step];
  if (!step) return "";
  const doing = t(step.doing);
  if (work.state === "working") return doing;
  if (work.state === "between") return t`Next: ${t(step.name)}`;
  if (work.state === "paused") return t`${doing}, paused`;
  if (work.state === "failed") return t`${doing}: failed`;
  if (work.state === "stopped") return t`${doing}: stopped`;
  if (work.state === "interrupted") return t`${doing}: interrupted`;
  return "";
}

/** "12 of 40, 3 min left"; "" where nothing is counted. */
export function workCount({ state, done, total, seconds_left: left }) {
  if (state !== "working" || !total) return "";
  const count = t`${done} of ${total}`;
  return left === null ? count : t`${count}, about ${duration(left)} left`;
}
