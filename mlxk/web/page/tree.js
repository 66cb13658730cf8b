// Where each session is in the tree of futures. Pure: sessions in, places out.

/** Sessions so that forks stand below what they forked from: [{session, depth, parent, row}]. */
export function ordered(sessions) {
  const ids = new Set(sessions.map((each) => each.id));
  const children = new Map();
  for (const each of sessions) {
    const parent = ids.has(each.parent) ? each.parent : null;
    if (!children.has(parent)) children.set(parent, []);
    children.get(parent).push(each);
  }
  const rows = [];
  const walk = (parent, depth, row) => {
    const found = children.get(parent) ?? [];
    if (parent !== null)
      found.sort(
        (a, b) => b.fork_step - a.fork_step || a.name.localeCompare(b.name, undefined, { numeric: true }),
      );
    for (const each of found) {
      const at = rows.length;
      rows.push({ session: each, depth, parent: row, row: at, root: row == null ? at : rows[row].root });
      walk(each.id, depth + 1, at);
    }
  };
  walk(null, 0, null);
  return rows;
}

/** A colour a root, changing along the forks. */
export function lanes(rows) {
  let next = 0;
  return rows.map(() => next++ % 6);
}
