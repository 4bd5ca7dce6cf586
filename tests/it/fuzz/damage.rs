//! Damages inputs, by choices that arbtest makes.

use crate::random_calls::generator::{ODD_NUMBERS, ODD_TEXTS, collect_pointers};
use arbtest::arbitrary::{Result, Unstructured};
use serde_json::Value;
use test_support::{ALICE, BOB, EVE, TN};

/// One of the seeds, damaged in up to four places.
pub(super) fn damaged(random: &mut Unstructured<'_>, seeds: &[Vec<u8>]) -> Result<Vec<u8>> {
    let mut input = random.choose(seeds)?.clone();
    for _ in 0..random.int_in_range(0..=4)? {
        if random.ratio(1, 2)? {
            replace_value(random, seeds, &mut input)?;
        } else {
            damage_bytes(random, seeds, &mut input)?;
        }
    }
    Ok(input)
}

fn damage_bytes(random: &mut Unstructured<'_>, seeds: &[Vec<u8>], input: &mut Vec<u8>) -> Result<()> {
    let at = random.choose_index(input.len() + 1)?;
    match random.int_in_range(0..=6)? {
        0 => input.truncate(at),
        1 => input.insert(at, random.arbitrary()?),
        2 => drop(input.splice(at..at, odd_text(random)?.into_bytes())),
        3 if at < input.len() => input[at] ^= 1 << random.int_in_range(0..=7)?,
        4 if at < input.len() => drop(input.remove(at)),
        5 => {
            let other = random.choose(seeds)?;
            input.truncate(at);
            input.extend(&other[random.choose_index(other.len() + 1)?..]);
        }
        _ => {
            let end = (at + random.int_in_range(1..=40)?).min(input.len());
            input.extend_from_within(at..end);
        }
    }
    Ok(())
}

/// Replaces a value of the input's JSON. What precedes the JSON stays.
fn replace_value(random: &mut Unstructured<'_>, seeds: &[Vec<u8>], input: &mut Vec<u8>) -> Result<()> {
    let start = input.iter().position(|byte| *byte == b'{').unwrap_or(input.len());
    let Ok(mut json) = serde_json::from_slice::<Value>(&input[start..]) else {
        return damage_bytes(random, seeds, input);
    };
    let mut pointers = Vec::new();
    collect_pointers(&json, String::new(), &mut pointers);
    let pointer = random.choose(&pointers)?;
    *json.pointer_mut(pointer).expect("it is there") = odd_value(random, 2)?;
    input.truncate(start);
    input.extend(json.to_string().into_bytes());
    Ok(())
}

fn odd_value(random: &mut Unstructured<'_>, depth: u8) -> Result<Value> {
    Ok(match random.int_in_range(0..=if depth == 0 { 7 } else { 9 })? {
        0 => Value::Null,
        1 => random.arbitrary::<bool>()?.into(),
        2 => random.arbitrary::<i64>()?.into(),
        3 => random.arbitrary::<f64>()?.into(),
        4 => (*random.choose(&[TN, ALICE, BOB, EVE])?).into(),
        5 => random.choose(&[TN, ALICE, BOB, EVE])?.parse::<u64>().map_or(Value::Null, Value::from),
        6 => (*random.choose(&ODD_NUMBERS)?).into(),
        7 => odd_text(random)?.repeat(random.int_in_range(1..=3)?).into(),
        8 => (0..random.int_in_range(0..=3)?)
            .map(|_| odd_value(random, depth - 1))
            .collect::<Result<Value>>()?,
        _ => {
            let fields = 0..random.int_in_range(0..=3)?;
            let fields = fields.map(|_| Ok((odd_text(random)?, odd_value(random, depth - 1)?)));
            Value::Object(fields.collect::<Result<_>>()?)
        }
    })
}

fn odd_text(random: &mut Unstructured<'_>) -> Result<String> {
    Ok((*random.choose(&ODD_TEXTS)?).to_owned())
}
