//! The table does what it is asked for, and the function does not learn it.

use errors::Errors;
use futures_util::future::join_all;
use shared::model::{HookId, QueueMessage};
use testing::{Lost, LostAnswers};

use super::bench::{Bench, letter};

/// A bench whose function loses answers.
async fn losing() -> (Bench, LostAnswers) {
    let mut bench = Bench::new().await;
    let lost = LostAnswers::default();
    bench.errors = Errors::new(lost.stores(&bench.aws).errors);
    (bench, lost)
}

/// The first dead letter of a HookError, and another one.
async fn record(bench: &Bench) -> Vec<usize> {
    let letters = [letter(1, 7, 10), letter(2, 3, 20)];
    let bodies = letters.map(|letter| QueueMessage::DeadLetter(letter).encode().unwrap());
    bench.failures(bodies).await
}

/// Both letters are recorded, once.
async fn assert_recorded(bench: &Bench, position: usize) {
    let error = bench.only().await;
    let hooks: Vec<u64> = error.hooks.iter().copied().map(HookId::get).collect();
    assert_eq!((hooks, error.count), (vec![3, 7], 2), "{position}");
    assert_eq!(bench.kept().await.len(), 2, "{position}");
}

async fn calls() -> usize {
    let (bench, lost) = losing().await;
    assert!(record(&bench).await.is_empty());
    // The letter, which finds no HookError; what an earlier one has left; the id of one; the letter again; the other
    // letter.
    let wanted = [
        "TransactWriteItems",
        "Query",
        "UpdateItem",
        "TransactWriteItems",
        "TransactWriteItems",
    ];
    assert_eq!(lost.calls(), wanted);
    wanted.len()
}

#[tokio::test]
async fn first_answer_lost_each_letter_is_recorded_once() {
    let recording = (0..calls().await).map(async |position| {
        let (bench, lost) = losing().await;
        lost.lose(position, Lost::First);
        assert!(record(&bench).await.is_empty(), "{position}");
        assert_recorded(&bench, position).await;
    });
    join_all(recording).await;
}

#[tokio::test]
async fn all_answers_lost_each_letter_is_recorded_once_on_retry() {
    let recording = (0..calls().await).map(async |position| {
        let (bench, lost) = losing().await;
        lost.lose(position, Lost::Rest);
        assert!(!record(&bench).await.is_empty(), "{position}");
        lost.lose_none();
        assert!(record(&bench).await.is_empty(), "{position}");
        assert_recorded(&bench, position).await;
    });
    join_all(recording).await;
}
