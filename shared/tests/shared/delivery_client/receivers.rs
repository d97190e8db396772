//! Receivers that misbehave: whatever one does, the attempt ends within its deadline as one outcome,
//! it makes one connection, and deliveries to others at the same time arrive.

use proptest::{collection::vec, prelude::*};
use rstest::rstest;
use shared::model::Outcome::{self, Answered, ConnectionClosed, Protocol, TimedOut};
use tokio::{io::AsyncWriteExt, runtime::Builder, time::Instant};

use super::{
    accept, assert_deadline, assert_untouched, at, client, listener, meet, payload, post,
    receiver::{
        Receiver,
        Step::{
            self, Drip, Flood, FloodPastTheDeadline, Hang, ReadALittle, ReadOn, ReadRequest,
            Repeat, Reset, Write,
        },
    },
};

/// A payload that does not fit into the buffers between two sockets.
fn large_payload() -> String {
    format!("{{\"x\":\"{}\"}}", "x".repeat(16 * 1024 * 1024))
}

/// Holds that an attempt ends so, however large its payload, while others go on.
async fn assert_outcome(steps: &'static [Step], payload_text: &str, outcome: Outcome) {
    let receiver = Receiver::start(steps).await;
    let good = Receiver::start(&[
        ReadRequest,
        Write("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"),
    ])
    .await;
    let client = client(&[receiver.addr, good.addr]);
    let (payload, small) = (payload(payload_text), payload("{}"));
    let (target, good_target) = (at(receiver.addr), at(good.addr));
    let started = Instant::now();
    let others = async {
        for _ in 0..3 {
            let outcome = post(&client, &good_target, &small).await;
            assert_eq!(outcome, Answered(204), "to another receiver");
        }
        receiver.calm();
    };
    let (ended, ()) = tokio::join!(post(&client, &target, &payload), others);
    assert_eq!(ended, outcome);
    assert_eq!(receiver.connections(), 1);
    if outcome == TimedOut {
        assert_deadline(started);
    }
}

/// An answer with a head that can be read, whatever follows it: its status is the answer.
#[rstest]
#[case::a_status_that_does_not_exist(Answered(999), &[ReadRequest, Write("HTTP/1.1 999 ?\r\ncontent-length: 0\r\n\r\n")])]
#[case::a_status_without_a_reason(Answered(200), &[ReadRequest, Write("HTTP/1.1 200\r\n\r\n")])]
#[case::the_first_http(Answered(200), &[ReadRequest, Write("HTTP/1.0 200 OK\r\n\r\nhello")])]
#[case::another_protocol(Answered(101), &[ReadRequest, Write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"), Flood("x")])]
#[case::a_body_where_none_can_be(Answered(204), &[ReadRequest, Write("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello")])]
#[case::interim_answers_before_it(Answered(200), &[ReadRequest, Write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")])]
#[case::a_body_that_is_no_gzip(Answered(200), &[ReadRequest, Write("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope")])]
#[case::a_gzip_without_end(Answered(200), &[ReadRequest, Write("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n"), Flood("4\r\n\0\0\0\0\r\n")])]
#[case::a_body_without_end(Answered(200), &[ReadRequest, Write("HTTP/1.1 200 OK\r\n\r\n"), Flood("x")])]
#[case::a_body_of_a_terabyte(Answered(200), &[ReadRequest, Write("HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n"), Flood("x")])]
#[case::chunks_without_end(Answered(200), &[ReadRequest, Write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), Flood("1\r\nx\r\n")])]
#[case::many_chunks_of_nothing_much(Answered(200), &[ReadRequest, Write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), Repeat(300, "1\r\nx\r\n"), ReadOn])]
#[case::one_chunk_without_end(Answered(200), &[ReadRequest, Write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\n"), Flood("x")])]
#[case::a_close_in_the_body(Answered(200), &[ReadRequest, Write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello")])]
#[case::a_close_between_chunks(Answered(200), &[ReadRequest, Write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")])]
#[case::a_reset_in_the_body(Answered(200), &[ReadRequest, Write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello"), Reset])]
#[case::chunks_without_a_length(Answered(200), &[ReadRequest, Write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nhello\r\n")])]
#[case::a_chunk_longer_than_it_says(Answered(200), &[ReadRequest, Write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nhello\r\n0\r\n\r\n")])]
#[case::a_chunk_of_too_many_digits(Answered(200), &[ReadRequest, Write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n")])]
#[case::a_chunk_extension_without_end(Answered(200), &[ReadRequest, Write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;"), Flood("x")])]
#[case::trailers_without_end(Answered(200), &[ReadRequest, Write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"), Flood("x-x: x\r\n")])]
#[case::silence_in_the_body(Answered(200), &[ReadRequest, Write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello"), Hang])]
#[case::drops_of_a_body(Answered(200), &[ReadRequest, Write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"), Drip("x")])]
#[case::drops_of_a_body_without_end(Answered(200), &[ReadRequest, Write("HTTP/1.1 200 OK\r\n\r\n"), Drip("x")])]
#[case::drops_of_chunks(Answered(200), &[ReadRequest, Write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), Drip("1\r\nx\r\n")])]
#[tokio::test]
async fn an_answer_counts(#[case] outcome: Outcome, #[case] steps: &'static [Step]) {
    assert_outcome(steps, "{}", outcome).await;
}

/// A head with lines in it that are no headers, or no good ones: its status is the answer.
#[rstest]
#[case::a_folded_header("x: a\r\n b\r\n\tc\r\n")]
#[case::a_first_line_that_is_folded(" x\r\n")]
#[case::a_control_byte_in_a_value("set-cookie: a=\u{1}\u{7f}\r\n")]
#[case::a_space_before_the_colon("X-Powered-By : PHP\r\n")]
#[case::a_line_without_a_colon("this is no header\r\n")]
#[case::a_header_without_a_name(": x\r\n")]
#[case::a_name_that_is_none("x y: z\r\n(x): y\r\n")]
#[case::letters_that_are_not_ascii("x: é\r\né: x\r\n")]
#[case::lines_that_end_without_a_carriage_return("x: y\nz\n")]
#[tokio::test]
async fn an_odd_head_is_an_answer(#[case] lines: &str) {
    let answers = [
        format!("HTTP/1.1 201 Created\r\n{lines}content-length: 0\r\n\r\n"),
        format!("HTTP/1.1 201 Created\r\ncontent-length: 0\r\ny: z\r\n{lines}\r\n"),
    ];
    for answer in answers {
        assert_eq!(
            answered(answer.as_bytes()).await,
            Answered(201),
            "{answer:?}"
        );
    }
}

#[rstest]
#[case::hundreds_of_fields(1_000, 8, Answered(200))]
#[case::as_many_as_there_may_be(1_024, 8, Answered(200))]
#[case::one_more(1_025, 8, Protocol)]
#[case::long_ones(50, 7_800, Answered(200))]
#[case::one_that_is_as_long_as_400_kib(1, 400 * 1024, Answered(200))]
#[case::far_more_than_there_may_be(500, 7_800, Protocol)]
#[tokio::test]
async fn a_large_head_is_an_answer_within_bounds(
    #[case] fields: usize,
    #[case] length: usize,
    #[case] outcome: Outcome,
) {
    let field = format!("x: {}\r\n", "x".repeat(length));
    let answer = format!("HTTP/1.1 200 OK\r\n{}\r\n", field.repeat(fields));
    assert_eq!(answered(answer.as_bytes()).await, outcome);
}

/// What a receiver that answers so, and closes the connection then, makes of an attempt.
async fn answered(answer: &[u8]) -> Outcome {
    let (listener, addr) = listener().await;
    let (client, target, payload) = (client(&[addr]), at(addr), payload("{}"));
    let endpoint = async {
        let mut stream = accept(&listener).await;
        // It may have hung up when it has seen enough.
        let _ = stream.write_all(answer).await;
    };
    meet(post(&client, &target, &payload), endpoint).await.0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// But for the bytes that end a line, and the one that no text has.
    #[test]
    fn whatever_lines_a_head_has_its_status_is_the_answer(
        status in 200_u16..600,
        lines in vec("[^\0\r\n]{1,40}", 0..20),
    ) {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let answer = format!("HTTP/1.1 {status} X\r\n{}\r\n\r\n", lines.join("\r\n"));
        let outcome = runtime.block_on(answered(answer.as_bytes()));
        prop_assert_eq!(outcome, Answered(status));
    }
}

/// A connection that ends before a whole answer has come.
#[rstest]
#[case::a_close_at_once(&[])]
#[case::a_close_instead_of_an_answer(&[ReadRequest])]
#[case::a_close_in_the_status_line(&[ReadRequest, Write("HTTP/1.1 2")])]
#[case::a_close_in_the_head(&[ReadRequest, Write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n")])]
#[case::a_reset_at_once(&[Reset])]
#[case::a_reset_instead_of_an_answer(&[ReadRequest, Reset])]
#[case::a_reset_in_the_head(&[ReadRequest, Write("HTTP/1.1 200 OK\r\n"), Reset])]
#[tokio::test]
async fn no_whole_answer_is_a_closed_connection(#[case] steps: &'static [Step]) {
    assert_outcome(steps, "{}", ConnectionClosed).await;
}

/// A connection on which something else than an answer comes.
#[rstest]
#[case::another_protocol(&[ReadRequest, Write("SSH-2.0-OpenSSH_9.6\r\n")])]
#[case::a_page_without_a_head(&[ReadRequest, Write("<html><body>hello</body></html>\r\n")])]
#[case::garbage(&[ReadRequest, Write("\0\u{1}\u{2}\u{7f}\r\n\r\n")])]
#[case::tls_on_a_plain_port(&[ReadRequest, Write("\u{15}\u{3}\u{1}\0\u{2}\u{2}\u{16}")])]
#[case::a_version_that_was_not_asked_for(&[ReadRequest, Write("HTTP/2 200\r\n\r\n")])]
#[case::a_status_below_100(&[ReadRequest, Write("HTTP/1.1 099 ?\r\n\r\n")])]
#[case::a_status_of_four_digits(&[ReadRequest, Write("HTTP/1.1 2000 ?\r\n\r\n")])]
#[case::two_lengths(&[ReadRequest, Write("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx")])]
#[case::a_length_below_zero(&[ReadRequest, Write("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n")])]
#[case::a_zero_byte(&[ReadRequest, Write("HTTP/1.1 200 OK\r\nx: \0\r\n\r\n")])]
#[case::a_reason_without_end(&[ReadRequest, Write("HTTP/1.1 200 "), Flood("x")])]
#[case::headers_without_end(&[ReadRequest, Write("HTTP/1.1 200 OK\r\n"), Flood("x-x: x\r\n")])]
#[case::lines_without_end(&[ReadRequest, Write("HTTP/1.1 200 OK\r\n"), Flood("x\r\n")])]
#[case::a_header_without_end(&[ReadRequest, Write("HTTP/1.1 200 OK\r\nx: "), Flood("x")])]
#[case::a_fold_without_end(&[ReadRequest, Write("HTTP/1.1 200 OK\r\nx: x\r\n"), Flood(" x\r\n")])]
#[case::empty_lines_without_end(&[ReadRequest, Flood("\r\n")])]
#[tokio::test]
async fn what_is_no_http_answer_is_told_apart(#[case] steps: &'static [Step]) {
    assert_outcome(steps, "{}", Protocol).await;
}

/// A receiver that takes its time has as much of it as any other.
#[rstest]
#[case::silence_before_the_request_is_read(&[Hang])]
#[case::silence(&[ReadRequest, Hang])]
#[case::silence_in_the_head(&[ReadRequest, Write("HTTP/1.1 200 OK\r\n"), Hang])]
#[case::silence_after_an_interim_answer(&[ReadRequest, Write("HTTP/1.1 100 Continue\r\n\r\n"), Hang])]
#[case::drops_of_a_head(&[ReadRequest, Write("HTTP/1.1 200 OK\r\n"), Drip("x: x\r\n")])]
#[case::drops_of_a_header(&[ReadRequest, Write("HTTP/1.1 200 OK\r\nx: "), Drip("x")])]
#[case::drops_of_interim_answers(&[ReadRequest, Drip("HTTP/1.1 102 Processing\r\n\r\n")])]
#[case::a_flood_of_interim_answers(&[ReadRequest, FloodPastTheDeadline("HTTP/1.1 100 Continue\r\n\r\n")])]
#[tokio::test]
async fn no_whole_answer_in_30_seconds_is_a_time_out(#[case] steps: &'static [Step]) {
    assert_outcome(steps, "{}", TimedOut).await;
}

/// A receiver that has not read the request when it ends it.
#[rstest]
#[case::an_answer(Answered(413), &[ReadALittle, Write("HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n"), ReadOn])]
#[case::a_reset(ConnectionClosed, &[ReadALittle, Reset])]
#[case::silence(TimedOut, &[ReadALittle, Hang])]
#[tokio::test]
async fn a_request_need_not_be_read(#[case] outcome: Outcome, #[case] steps: &'static [Step]) {
    assert_outcome(steps, &large_payload(), outcome).await;
}

#[rstest]
#[tokio::test]
async fn a_redirect_is_an_answer_and_leads_nowhere(
    #[values(300, 301, 302, 303, 305, 307, 308)] status: u16,
) {
    let (canary, elsewhere) = listener().await;
    let (listener, addr) = listener().await;
    let client = client(&[addr, elsewhere]);
    let endpoint = async {
        let mut stream = accept(&listener).await;
        let answer = format!(
            "HTTP/1.1 {status} x\r\nlocation: http://{elsewhere}/\r\nrefresh: 0;url=http://{elsewhere}/\r\ncontent-length: 0\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
    };
    let (target, payload) = (at(addr), payload("{}"));
    let (outcome, ()) = meet(post(&client, &target, &payload), endpoint).await;
    assert_eq!(outcome, Answered(status));
    assert_untouched(canary);
}
