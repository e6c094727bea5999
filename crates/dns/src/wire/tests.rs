//! Queries, answers and what can be wrong with them, as bytes.

use super::*;

fn read(message: &[u8]) -> Result<(String, u16, Option<u16>), Unreadable> {
    Question::read(message).map(|it| (format!("{:?}", it.name), it.kind, it.edns.map(|edns| edns.size)))
}

#[test]
fn queries_are_read() {
    assert_eq!(read(&query(7, "Web.Example", kind::A, None)), Ok(("web.example.".into(), 1, None)));
    assert_eq!(read(&query(7, "", kind::NS, Some(4096))), Ok((".".into(), 2, Some(4096))));
    let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
    assert_eq!(read(&query(7, &long, kind::A, None)), Ok((format!("{long}."), 1, None)));
}

#[test]
fn what_is_no_query_is_not_answered() {
    for message in [&[] as &[u8], &[0; 11], &[0, 0, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0]] {
        assert_eq!(read(message), Err(Unreadable::NoQuery), "{message:?}");
    }
}

#[test]
fn queries_that_are_wrong_say_so() {
    let good = query(7, "web", kind::A, Some(1232));
    let spoilt = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut message = good.clone();
        change(&mut message);
        read(&message)
    };
    let format = Err(Unreadable::Answer(Code::FormatError));
    assert_eq!(
        spoilt(&|message| message[2] = 0x28),
        Err(Unreadable::Answer(Code::NotImplemented)),
        "an update"
    );
    assert_eq!(spoilt(&|message| message[5] = 0), format, "no question");
    assert_eq!(spoilt(&|message| message[5] = 2), format, "two questions");
    assert_eq!(spoilt(&|message| message[HEADER] = 0xc0), format, "a name that points back");
    assert_eq!(spoilt(&|message| message[HEADER] = 64), format, "a label of 64 bytes");
    assert_eq!(spoilt(&|message| message.truncate(15)), format, "half a name");
    assert_eq!(spoilt(&|message| message.truncate(19)), format, "no class");
    assert_eq!(spoilt(&|message| message.truncate(message.len() - 1)), format, "half a record");
    assert_eq!(spoilt(&|message| message[21] = 1), format, "EDNS with an owner");
    let twice = spoilt(&|message| {
        message.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
        message[11] = 2;
    });
    assert_eq!(twice, format, "EDNS twice");
    let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(62)].join(".");
    assert_eq!(read(&query(7, &long, kind::A, None)), format, "a name of 256 bytes");
}

#[test]
fn every_beginning_of_a_query_is_read_without_harm() {
    let message = query(7, "a.b.c", kind::A, Some(512));
    for end in 0..message.len() {
        assert!(read(&message[..end]).is_err(), "{end}");
    }
}

#[test]
fn an_answer_repeats_the_question_as_it_was_written() {
    let message = query(0x1234, "WEB", kind::A, None);
    let question = Question::read(&message).unwrap();
    let mut out = Vec::new();
    let mut reply = Reply::new(&question, PLAIN_LIMIT, &mut out);
    assert!(reply.address(5, "10.0.0.1".parse().unwrap()));
    reply.finish(Code::NoError, true);
    assert_eq!(
        out,
        [
            b"\x12\x34\x85\x80\0\x01\0\x01\0\0\0\0" as &[u8],
            b"\x03WEB\0\0\x01\0\x01",
            &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 0, 0, 1],
        ]
        .concat()
    );
}

#[test]
fn an_answer_that_does_not_fit_says_so_and_keeps_its_limit() {
    for edns in [None, Some(600), Some(65535)] {
        let message = query(1, "web", kind::AAAA, edns);
        let question = Question::read(&message).unwrap();
        let mut out = Vec::new();
        let mut reply = Reply::new(&question, question.udp_limit(), &mut out);
        let mut count = 0;
        while count < 100 && reply.address(5, "fd00::1".parse().unwrap()) {
            count += 1;
        }
        reply.finish(Code::NoError, true);
        assert!(
            out.len() <= question.udp_limit() && out.len() + 28 > question.udp_limit(),
            "{} {edns:?}",
            out.len()
        );
        assert_eq!(out[2] & 2, 2, "truncated");
        assert_eq!(usize::from(out[7]), count);
        assert_eq!(out[11], u8::from(edns.is_some()));
    }
}

#[test]
fn an_answer_is_known_by_number_and_question() {
    let asked = query(9, "example.org", kind::A, Some(1232));
    let answered = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut reply = asked.clone();
        reply[2] |= 0x80;
        change(&mut reply);
        is_answer_to(&reply, &asked)
    };
    assert!(answered(&|_| {}));
    assert!(answered(&|reply| reply[HEADER + 1].make_ascii_uppercase()));
    assert!(answered(&|reply| {
        reply.truncate(HEADER);
        reply[3] = 1;
        reply[5] = 0;
    }));
    assert!(!answered(&|reply| reply[1] = 8), "another number");
    assert!(!answered(&|reply| reply[2] &= 0x7f), "a query");
    assert!(!answered(&|reply| reply[HEADER + 1] = b'f'), "another name");
    assert!(!answered(&|reply| reply[5] = 2), "two questions");
    assert!(!answered(&|reply| reply.truncate(20)), "half of it");
    assert!(!answered(&|reply| reply.clear()), "nothing");
    assert!(!answered(&|reply| {
        reply.truncate(HEADER);
        reply[5] = 0;
    }));
}

#[test]
fn a_long_reply_is_cut_to_its_question() {
    let mut reply = query(9, "example.org", kind::A, None);
    let whole = reply.len();
    reply[2] |= 0x80;
    reply[7] = 9;
    reply.extend_from_slice(&[0; 900]);
    truncate(&mut reply);
    assert_eq!((reply.len(), reply[2] & 2, reply[7]), (whole, 2, 0));
    let mut nonsense = vec![0xff; 13];
    truncate(&mut nonsense);
    assert_eq!(nonsense.len(), 13);
}
