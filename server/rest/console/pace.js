// The clock of a page: what is read again and again is asked for once at a time, however slow the answers are.

/** Do `work` each `ms` after it has ended, except in a hidden tab; returns what ends it. */
export function again(work, ms) {
  let timer;
  let over = false;
  const next = () => { timer = setTimeout(turn, ms); };
  const turn = async () => {
    try {
      if (!document.hidden) await work();
    } finally {
      if (!over) next();
    }
  };
  next();
  return () => {
    over = true;
    clearTimeout(timer);
  };
}
