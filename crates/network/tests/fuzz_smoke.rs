//! Spoilt copies of holm's own files of networks, the same ones every time. `fuzz/` drives the same readers with libFuzzer.

/// How many spoilt copies of each example are tried.
const ROUNDS: usize = 3000;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

const RECORD: &str = r#"{"id":"web","token":"0011223344556677","keeper":7}
{"joined":{"network":"blue","network_id":"00","driver":"bridge","network_interface":"holm0","host_link":"hv0","interface":"eth0",
{"published":[{"host_port":8080,"container_port":80,"protocol":"tcp"}]}
{"namespace":{"pid":7,"fd":9,"inode":11}}
{"left":"blue"}
"#;

const NETWORK: &str = r#"{"name":"web","id":"00","driver":"bridge","network_interface":"holm1","created":5,
"subnets":[{"subnet":"10.0.0.0/24","gateway":"10.0.0.1","ip_range":"10.0.0.0/28"}],"mtu":1500,"labels":{"a":"b"}}"#;

const LEASES: &str = "\
a 0123456789ab 10.224.0.2                              00112233445566aa
r 0123456789ab 10.224.0.2                              ----------------
p tcp    08080 *                                       00112233445566aa
-                                                      ----------------
";

#[test]
fn no_file_is_too_strange_to_be_read() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    assert!(network::walk(LEASES.as_bytes()) >= 3 && network::walk(NETWORK.as_bytes()) > 0);
    for example in [RECORD, NETWORK, LEASES] {
        for _ in 0..ROUNDS {
            let mut bytes = example.as_bytes().to_vec();
            for _ in 0..=random.below(6) {
                let at = random.below(bytes.len() + 1);
                match random.below(4) {
                    0 => drop(bytes.splice(at..at, [random.below(256) as u8])),
                    1 => drop(bytes.drain(at..(at + random.below(9)).min(bytes.len()))),
                    2 => bytes.truncate(at.max(1)),
                    _ => {
                        if let Some(byte) = bytes.get_mut(at) {
                            *byte = random.below(256) as u8;
                        }
                    }
                }
            }
            network::walk(&bytes);
        }
    }
}
