// Asks the server what it understands of a text, once typing has stopped.
import { change } from "./shared/server.js";

const PAUSE = 300; // milliseconds without typing
const REMEMBERED = 200;
const answers = new Map(); // question -> its answer

/** ask(question) hears about the last question alone; the answer goes to `heard(answer, refusal)`. */
export class Reader {
  constructor(heard) {
    this.heard = heard;
    this.print = null;
  }

  /** Ask when this question has stood for a moment; the same question is not asked again. */
  ask(question) {
    const print = JSON.stringify(question);
    if (print === this.print) return false;
    const first = this.print === null;
    this.print = print;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.now(question, print), first || answers.has(print) ? 0 : PAUSE);
    return true;
  }

  /** The answer to this question is known already. */
  answered(question) {
    this.print = JSON.stringify(question);
    clearTimeout(this.timer);
  }

  /** Ask again with the next question, whatever it is. */
  forget() {
    this.print = null;
    clearTimeout(this.timer);
  }

  async now(question, print) {
    try {
      const answer = answers.get(print) ?? (await change("read", question));
      if (!question.file) remember(print, answer); // a file may change
      if (print === this.print) this.heard(answer, null);
    } catch (refusal) {
      if (print !== this.print) return;
      this.heard(null, refusal);
      if (refusal.status === 0) this.timer = setTimeout(() => this.now(question, print), 3000);
    }
  }
}

function remember(print, answer) {
  answers.set(print, answer);
  if (answers.size > REMEMBERED) answers.delete(answers.keys().next().value);
}
