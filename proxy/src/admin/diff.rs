//! What differs between two texts, line by line, as `diff -u` shows it.

/// Lines around a change.
const CONTEXT: usize = 3;
/// Changed lines that are searched for the shortest way; past it everything between is told as replaced.
const CHANGES_MAX: usize = 2000;

/// A line of one text, of the other, or of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edit {
    Same(usize, usize),
    Removed(usize),
    Added(usize),
}

/// Empty where nothing differs.
pub fn unified(old_name: &str, old: &str, new_name: &str, new: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    let edits = edits(&old, &new);
    let changed: Vec<_> = (0..edits.len()).filter(|at| !matches!(edits[*at], Edit::Same(..))).collect();
    let Some(first) = changed.first() else { return String::new() };
    let mut text = format!("--- {old_name}\n+++ {new_name}\n");
    let mut from = first.saturating_sub(CONTEXT);
    let mut to = *first;
    for at in &changed {
        if *at > to + 2 * CONTEXT + 1 {
            hunk(&mut text, &edits, from, (to + CONTEXT + 1).min(edits.len()), &old, &new);
            from = at.saturating_sub(CONTEXT);
        }
        to = *at;
    }
    hunk(&mut text, &edits, from, (to + CONTEXT + 1).min(edits.len()), &old, &new);
    text
}

fn hunk(text: &mut String, edits: &[Edit], from: usize, to: usize, old: &[&str], new: &[&str]) {
    let before = |of_old: bool| {
        let of_it = |edit: &&Edit| match edit {
            Edit::Same(..) => true,
            Edit::Removed(_) => of_old,
            Edit::Added(_) => !of_old,
        };
        (edits[..from].iter().filter(of_it).count(), edits[from..to].iter().filter(of_it).count())
    };
    // A side without a line is named by the line before it.
    let place = |(before, lines): (usize, usize)| format!("{},{lines}", if lines == 0 { before } else { before + 1 });
    text.push_str(&format!("@@ -{} +{} @@\n", place(before(true)), place(before(false))));
    for edit in &edits[from..to] {
        let (sign, line) = match edit {
            Edit::Same(at, _) => (' ', old[*at]),
            Edit::Removed(at) => ('-', old[*at]),
            Edit::Added(at) => ('+', new[*at]),
        };
        text.push(sign);
        text.push_str(line);
        text.push('\n');
    }
}

/// The shortest way from one to the other: E. W. Myers, "An O(ND) Difference Algorithm and Its Variations", 1986.
fn edits(old: &[&str], new: &[&str]) -> Vec<Edit> {
    let start = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (left, right) = (&old[start..], &new[start..]);
    let end = left.iter().rev().zip(right.iter().rev()).take_while(|(old, new)| old == new).count();
    let (left, right) = (&left[..left.len() - end], &right[..right.len() - end]);
    let mut edits: Vec<_> = (0..start).map(|at| Edit::Same(at, at)).collect();
    match middle(left, right) {
        Some(middle) => edits.extend(middle.into_iter().map(|edit| match edit {
            Edit::Same(old, new) => Edit::Same(old + start, new + start),
            Edit::Removed(at) => Edit::Removed(at + start),
            Edit::Added(at) => Edit::Added(at + start),
        })),
        None => {
            edits.extend((start..start + left.len()).map(Edit::Removed));
            edits.extend((start..start + right.len()).map(Edit::Added));
        }
    }
    edits.extend((0..end).map(|at| Edit::Same(old.len() - end + at, new.len() - end + at)));
    edits
}

/// `None`: it is longer than is searched for.
fn middle(old: &[&str], new: &[&str]) -> Option<Vec<Edit>> {
    let (rows, columns) = (old.len(), new.len());
    let steps_max = (rows + columns).min(CHANGES_MAX);
    // By diagonal, from -steps_max to steps_max: how far in `old` a way of so many steps leads.
    let mut furthest = vec![0_usize; 2 * steps_max + 3];
    let mut trace = Vec::new();
    let at = |diagonal: isize| usize::try_from(diagonal + steps_max as isize + 1).unwrap_or(0);
    for steps in 0..=steps_max as isize {
        // Only what the next round looks back at is kept.
        trace.push(furthest[at(-steps - 1)..=at(steps + 1)].to_vec());
        for diagonal in (-steps..=steps).step_by(2) {
            let down = diagonal == -steps || diagonal != steps && furthest[at(diagonal - 1)] < furthest[at(diagonal + 1)];
            let mut row = if down { furthest[at(diagonal + 1)] } else { furthest[at(diagonal - 1)] + 1 };
            let mut column = (row as isize - diagonal) as usize;
            while row < rows && column < columns && old[row] == new[column] {
                (row, column) = (row + 1, column + 1);
            }
            furthest[at(diagonal)] = row;
            if row >= rows && column >= columns {
                return Some(walk_back(&trace, rows, columns));
            }
        }
    }
    None
}

fn walk_back(trace: &[Vec<usize>], rows: usize, columns: usize) -> Vec<Edit> {
    let (mut row, mut column) = (rows as isize, columns as isize);
    let mut edits = Vec::new();
    for (steps, furthest) in trace.iter().enumerate().rev() {
        let steps = steps as isize;
        let at = |diagonal: isize| furthest[(diagonal + steps + 1) as usize] as isize;
        let diagonal = row - column;
        let down = diagonal == -steps || diagonal != steps && at(diagonal - 1) < at(diagonal + 1);
        let before = if down { diagonal + 1 } else { diagonal - 1 };
        let (from_row, from_column) = if steps == 0 { (0, 0) } else { (at(before), at(before) - before) };
        while row > from_row && column > from_column {
            (row, column) = (row - 1, column - 1);
            edits.push(Edit::Same(row as usize, column as usize));
        }
        if steps > 0 {
            edits.push(if down { Edit::Added(from_column as usize) } else { Edit::Removed(from_row as usize) });
            (row, column) = (from_row, from_column);
        }
    }
    edits.reverse();
    edits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(old: &[&str], new: &[&str]) -> (Vec<String>, Vec<String>) {
        let edits = edits(old, new);
        let mut sides = (Vec::new(), Vec::new());
        for edit in edits {
            match edit {
                Edit::Same(at, other) => {
                    assert_eq!(old[at], new[other]);
                    sides.0.push(old[at].to_owned());
                    sides.1.push(new[other].to_owned());
                }
                Edit::Removed(at) => sides.0.push(old[at].to_owned()),
                Edit::Added(at) => sides.1.push(new[at].to_owned()),
            }
        }
        sides
    }

    #[test]
    fn a_change_has_the_lines_around_it() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let new = "1\n2\n3\n4\nfive\n6\n7\n8\n9\n10\n";
        let expected = "--- a\n+++ b\n@@ -2,8 +2,9 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n 9\n+10\n";
        assert_eq!(unified("a", old, "b", new), expected);
        assert_eq!(unified("a", old, "b", old), "");
        assert_eq!(unified("a", "", "b", "x\n"), "--- a\n+++ b\n@@ -0,0 +1,1 @@\n+x\n");
    }

    #[test]
    fn changes_far_apart_are_apart() {
        let old: Vec<_> = (0..40).map(|line| line.to_string()).collect();
        let mut new = old.clone();
        new[2] = "two".to_owned();
        new.remove(30);
        let text = unified("a", &old.join("\n"), "b", &new.join("\n"));
        assert_eq!(text.matches("@@ -").count(), 2, "{text}");
        assert!(text.contains("@@ -28,7 +28,6 @@"), "{text}");
    }

    #[test]
    fn both_texts_can_be_read_from_what_differs() {
        let words = ["a", "b", "c"];
        for seed in 0..200_u64 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut text = || (0..random.usize(..12)).map(|_| words[random.usize(..3)]).collect::<Vec<_>>();
            let (old, new) = (text(), text());
            let (first, second) = applied(&old, &new);
            assert_eq!(
                (first, second),
                (old.iter().map(|line| (*line).to_owned()).collect(), new.iter().map(|line| (*line).to_owned()).collect())
            );
        }
    }

    #[test]
    fn what_differs_everywhere_is_replaced() {
        let old: Vec<_> = (0..3000).map(|line| format!("a{line}")).collect();
        let new: Vec<_> = (0..3000).map(|line| format!("b{line}")).collect();
        let text = unified("a", &old.join("\n"), "b", &new.join("\n"));
        assert_eq!(text.lines().count(), 2 + 1 + 6000);
    }
}
