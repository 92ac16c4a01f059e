//! Whether tensors share memory, decided for elements and not for address ranges alone.
//!
//! Two layouts share a byte where a linear equation with bounded integer unknowns has a solution: the
//! strides are its coefficients, the indices its unknowns. Finding one is hard in general and easy for the
//! layouts that people make, so the search has a bound; beyond it the answer is that of address ranges.

use crate::tensor::Tensor;

/// Steps of a search. Slices, transposes and broadcasts need a few; 10,000 take some 100 us.
const EFFORT: usize = 10_000;

/// An unknown of the equation: how much one of it counts, and the largest value it can have.
#[derive(Clone, Copy)]
struct Unknown {
    factor: i128,
    most: i128,
}

/// Whether an element of one tensor shares a byte with an element of the other.
pub fn share_memory(a: &Tensor, b: &Tensor) -> bool {
    if a.size() == 0 || b.size() == 0 || !a.may_overlap(b) {
        return false;
    }
    // first byte of a + its indices + a byte of the element = the same of b.
    let mut unknowns = vec![
        Unknown { factor: 1, most: a.itemsize() as i128 - 1 },
        Unknown { factor: -1, most: b.itemsize() as i128 - 1 },
    ];
    unknowns.extend(axes(a, 1));
    unknowns.extend(axes(b, -1));
    solvable(unknowns, b.data() as i128 - a.data() as i128).unwrap_or(true)
}

/// Whether two elements of a tensor share a byte.
pub fn shares_with_itself(a: &Tensor) -> bool {
    if a.size() < 2 || a.is_contiguous() {
        return false;
    }
    let mut found: Vec<Unknown> = axes(a, 1).collect();
    found.sort_by_key(|u| u.factor.abs());
    // Each axis steps over everything that the finer ones reach.
    let mut reach = a.itemsize() as i128;
    let nested = found.iter().all(|u| {
        let clear = u.factor.abs() >= reach;
        reach += u.factor.abs() * u.most;
        clear
    });
    if nested {
        return false;
    }
    // The difference of two indices: 0 for the axes before `first`, above 0 in it, any after it. It must
    // lead to within an element. Unknowns that can be negative are moved up.
    (0..found.len()).any(|first| {
        let item = a.itemsize() as i128 - 1;
        let mut sum = item - found[first].factor;
        let mut unknowns = vec![Unknown { factor: 1, most: 2 * item }];
        unknowns.push(Unknown { factor: found[first].factor, most: found[first].most - 1 });
        for u in &found[first + 1..] {
            unknowns.push(Unknown { factor: u.factor, most: 2 * u.most });
            sum += u.factor * u.most;
        }
        solvable(unknowns, sum).unwrap_or(true)
    })
}

fn axes(a: &Tensor, sign: i128) -> impl Iterator<Item = Unknown> + '_ {
    a.shape().iter().zip(a.strides()).filter(|&(&extent, _)| extent > 1).map(move |(&extent, &stride)| {
        Unknown { factor: sign * i128::from(stride), most: i128::from(extent) - 1 }
    })
}

/// Whether the unknowns can add up to a sum; None where the search is too long.
fn solvable(unknowns: Vec<Unknown>, mut sum: i128) -> Option<bool> {
    let mut positive: Vec<Unknown> = Vec::with_capacity(unknowns.len());
    for mut u in unknowns {
        if u.factor == 0 || u.most == 0 {
            continue;
        }
        // Counted from the other end, a negative factor is a positive one.
        if u.factor < 0 {
            sum -= u.factor * u.most;
            u.factor = -u.factor;
        }
        match positive.iter_mut().find(|p| p.factor == u.factor) {
            Some(same) => same.most += u.most,
            None => positive.push(u),
        }
    }
    positive.sort_by_key(|u| std::cmp::Reverse(u.factor));
    // What the unknowns from each place on reach, and what their sums are multiples of.
    let mut tails = vec![(0i128, 0i128); positive.len() + 1];
    for (i, u) in positive.iter().enumerate().rev() {
        let (reach, divisor) = tails[i + 1];
        tails[i] = (reach + u.factor * u.most, gcd(divisor, u.factor));
    }
    let mut effort = EFFORT;
    search(&positive, &tails, sum, &mut effort)
}

fn search(unknowns: &[Unknown], tails: &[(i128, i128)], sum: i128, effort: &mut usize) -> Option<bool> {
    let (reach, divisor) = tails[0];
    if sum < 0 || sum > reach || divisor != 0 && sum % divisor != 0 {
        return Some(false);
    }
    let Some(u) = unknowns.first() else { return Some(sum == 0) };
    // All that the finer unknowns can reach must be left to them, and no more.
    let finer = tails[1].0;
    let low = ((sum - finer).max(0) + u.factor - 1) / u.factor;
    let high = (sum / u.factor).min(u.most);
    for value in (low..=high).rev() {
        *effort = effort.checked_sub(1)?;
        if search(&unknowns[1..], &tails[1..], sum - value * u.factor, effort)? {
            return Some(true);
        }
    }
    Some(false)
}

fn gcd(a: i128, b: i128) -> i128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_has_a_bound() {
        let unknown = |factor, most| Unknown { factor, most };
        let close = vec![unknown(1_000_003, 5_000), unknown(1_000_033, 5_000), unknown(1_000_037, 5_000)];
        let within = |sum| solvable(close.clone(), sum);
        assert_eq!(within(1_000_003 * 5 + 1_000_033 * 7 + 1_000_037), Some(true));
        assert_eq!(within(1_000_003 - 1), Some(false));
        // 2,000 unknowns in all, which add up to 2 more than any such sum can.
        assert_eq!(within(1_000_037 * 9_000 + 2), None);
        assert_eq!(within(-1), Some(false));
        assert_eq!(solvable(vec![], 0), Some(true));
        assert_eq!(solvable(vec![unknown(4, 10), unknown(-6, 10)], 3), Some(false));
        assert_eq!(solvable(vec![unknown(4, 10), unknown(-6, 10)], -2), Some(true));
    }
}
