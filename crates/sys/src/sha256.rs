//! SHA-256 (FIPS 180-4) of several streams at once, a lane of vector registers for each.
//!
//! Each step of the algorithm needs the one before, so that wider registers do not make one stream faster; eight streams take the time of two.
//! Everything here is about whole blocks and the state between them. It is written with the processor's own vector instructions, because what
//! the compiler makes of loops depends on how a program is built.

#![allow(unsafe_code)]

/// The length of a block in bytes.
pub const BLOCK: usize = 64;
/// The most streams at once.
pub const LANES: usize = 8;

/// What is known after some blocks of a stream.
pub type State = [u32; 8];

/// Before the first block (section 5.3.3).
pub const INITIAL: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The constants of the rounds (section 4.2.2).
#[rustfmt::skip]
#[cfg(target_arch = "x86_64")]
const K: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

/// Vector instructions that this processor has, which is what having a value of this type means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vectors(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// AVX-512 on registers of 128 and 256 bits: rotations, and functions of three operands.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Vectors {
    /// Every kind that this processor has and that is made use of here, the best first.
    pub fn all() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        {
            let mut all = Vec::new();
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
                all.push(Self(Kind::Avx512));
            }
            if is_x86_feature_detected!("avx2") {
                all.push(Self(Kind::Avx2));
            }
            all
        }
        #[cfg(not(target_arch = "x86_64"))]
        Vec::new()
    }

    /// The best, if streams side by side are faster than one after the other: not where the processor has instructions for SHA-256 itself.
    pub fn worthwhile() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("sha") {
            return None;
        }
        Self::all().first().copied()
    }

    /// Takes `blocks` blocks of each stream.
    ///
    /// # Panics
    /// There are more than [`LANES`] streams, or one has less at hand.
    pub fn take(self, streams: &mut [Stream<'_>], blocks: usize) {
        assert!(streams.iter().all(|stream| stream.input.len() >= blocks * BLOCK), "a stream is too short");
        match (self.0, streams.len()) {
            (_, 0) => {}
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx512, 1..=4) => {
                side_by_side(streams, |state, input| {
                    // SAFETY: values of this type are made where the processor was asked, and only there.
                    unsafe { avx512_4::take(state, input, blocks) }
                })
            }
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx512, _) => {
                side_by_side(streams, |state, input| {
                    // SAFETY: values of this type are made where the processor was asked, and only there.
                    unsafe { avx512_8::take(state, input, blocks) }
                })
            }
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx2, _) => {
                side_by_side(streams, |state, input| {
                    // SAFETY: values of this type are made where the processor was asked, and only there.
                    unsafe { avx2_8::take(state, input, blocks) }
                })
            }
        }
    }
}

/// A stream and what it has at hand.
#[derive(Debug)]
pub struct Stream<'a> {
    /// What is known of what came before.
    pub state: &'a mut State,
    /// What comes.
    pub input: &'a [u8],
}

/// Word by word, the states of all lanes.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
#[repr(align(32))]
struct Row<const N: usize>([u32; N]);

/// Turns the states of streams into rows and back. Lanes without a stream repeat the first one's input.
#[cfg(target_arch = "x86_64")]
fn side_by_side<const N: usize>(
    streams: &mut [Stream<'_>],
    take: impl FnOnce(&mut [Row<N>; 8], &[&[u8]; N]),
) {
    assert!(streams.len() <= N, "more streams than lanes");
    let input: [&[u8]; N] =
        std::array::from_fn(|lane| streams[if lane < streams.len() { lane } else { 0 }].input);
    let mut rows: [Row<N>; 8] = std::array::from_fn(|word| {
        Row(std::array::from_fn(|lane| streams.get(lane).map_or(0, |stream| stream.state[word])))
    });
    take(&mut rows, &input);
    for (lane, stream) in streams.iter_mut().enumerate() {
        *stream.state = std::array::from_fn(|word| rows[word].0[lane]);
    }
}

/// The algorithm for one kind of vectors: its module, the instructions that it takes, how many lanes, the type of a vector, and the operations.
#[cfg(target_arch = "x86_64")]
macro_rules! lanes {
    (
        $module:ident, $features:literal, $lanes:literal, $vector:ident;
        load $load:ident, store $store:ident, broadcast $broadcast:ident, add $add:ident, shift $shift:ident,
        rotate($turned:ident) $rotate:expr,
        xor($x:ident, $y:ident, $z:ident) $xor:expr,
        choose($which:ident, $one:ident, $other:ident) $choose:expr,
        majority($first:ident, $second:ident, $third:ident) $majority:expr
    ) => {
        mod $module {
            use super::{BLOCK, K, Row};
            use std::arch::x86_64::*;

            #[target_feature(enable = $features)]
            #[inline]
            fn rotate<const RIGHT: i32, const LEFT: i32>($turned: $vector) -> $vector {
                $rotate
            }

            #[target_feature(enable = $features)]
            #[inline]
            fn xor($x: $vector, $y: $vector, $z: $vector) -> $vector {
                $xor
            }

            #[target_feature(enable = $features)]
            #[inline]
            fn choose($which: $vector, $one: $vector, $other: $vector) -> $vector {
                $choose
            }

            #[target_feature(enable = $features)]
            #[inline]
            fn majority($first: $vector, $second: $vector, $third: $vector) -> $vector {
                $majority
            }

            #[target_feature(enable = $features)]
            #[inline]
            fn load(row: &Row<$lanes>) -> $vector {
                // SAFETY: a row is as long as a vector, and the instruction asks for no alignment.
                unsafe { $load(row.0.as_ptr().cast()) }
            }

            /// Takes some blocks of each lane, which has them.
            #[target_feature(enable = $features)]
            pub(super) fn take(state: &mut [Row<$lanes>; 8], input: &[&[u8]; $lanes], blocks: usize) {
                let mut known = [$broadcast(0); 8];
                for (vector, row) in known.iter_mut().zip(&*state) {
                    *vector = load(row);
                }
                for block in 0..blocks {
                    let mut words = [Row([0; $lanes]); 16];
                    for (lane, input) in input.iter().enumerate() {
                        let (block, _) = input[block * BLOCK..][..BLOCK].as_chunks::<4>();
                        for (row, word) in words.iter_mut().zip(block) {
                            row.0[lane] = u32::from_be_bytes(*word);
                        }
                    }
                    let mut schedule = [$broadcast(0); 16];
                    for (vector, row) in schedule.iter_mut().zip(&words) {
                        *vector = load(row);
                    }
                    rounds(&mut known, &mut schedule);
                }
                for (vector, row) in known.iter().zip(state) {
                    // SAFETY: as for loading.
                    unsafe { $store(row.0.as_mut_ptr().cast(), *vector) };
                }
            }

            /// The 64 rounds of a block (section 6.2.2), by the standard's names. The schedule is made 16 words ahead.
            #[target_feature(enable = $features)]
            #[inline]
            fn rounds(state: &mut [$vector; 8], w: &mut [$vector; 16]) {
                let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
                // Written out, so that words stay in registers and are renamed instead of moved, however the program is built.
                macro_rules! step {
                    ($constants:ident, $t:literal, $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
                        let sum_1 = xor(rotate::<6, 26>($e), rotate::<11, 21>($e), rotate::<25, 7>($e));
                        let word = $add(w[$t], $broadcast($constants[$t].cast_signed()));
                        let t1 = $add($add($h, word), $add(sum_1, choose($e, $f, $g)));
                        let sum_0 = xor(rotate::<2, 30>($a), rotate::<13, 19>($a), rotate::<22, 10>($a));
                        $d = $add($d, t1);
                        $h = $add(t1, $add(sum_0, majority($a, $b, $c)));
                        let (near, far) = (w[($t + 1) % 16], w[($t + 14) % 16]);
                        let small_0 = xor(rotate::<7, 25>(near), rotate::<18, 14>(near), $shift::<3>(near));
                        let small_1 = xor(rotate::<17, 15>(far), rotate::<19, 13>(far), $shift::<10>(far));
                        w[$t] = $add($add(w[$t], small_0), $add(w[($t + 9) % 16], small_1));
                    };
                }
                for constants in K.as_chunks::<16>().0 {
                    step!(constants, 0, a b c d e f g h);
                    step!(constants, 1, h a b c d e f g);
                    step!(constants, 2, g h a b c d e f);
                    step!(constants, 3, f g h a b c d e);
                    step!(constants, 4, e f g h a b c d);
                    step!(constants, 5, d e f g h a b c);
                    step!(constants, 6, c d e f g h a b);
                    step!(constants, 7, b c d e f g h a);
                    step!(constants, 8, a b c d e f g h);
                    step!(constants, 9, h a b c d e f g);
                    step!(constants, 10, g h a b c d e f);
                    step!(constants, 11, f g h a b c d e);
                    step!(constants, 12, e f g h a b c d);
                    step!(constants, 13, d e f g h a b c);
                    step!(constants, 14, c d e f g h a b);
                    step!(constants, 15, b c d e f g h a);
                }
                for (vector, new) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
                    *vector = $add(*vector, new);
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
lanes! {
    avx512_4, "avx512f,avx512vl", 4, __m128i;
    load _mm_loadu_si128, store _mm_storeu_si128, broadcast _mm_set1_epi32, add _mm_add_epi32, shift _mm_srli_epi32,
    rotate(x) _mm_ror_epi32::<RIGHT>(x),
    xor(x, y, z) _mm_ternarylogic_epi32::<0x96>(x, y, z),
    choose(x, y, z) _mm_ternarylogic_epi32::<0xca>(x, y, z),
    majority(x, y, z) _mm_ternarylogic_epi32::<0xe8>(x, y, z)
}

#[cfg(target_arch = "x86_64")]
lanes! {
    avx512_8, "avx512f,avx512vl", 8, __m256i;
    load _mm256_loadu_si256, store _mm256_storeu_si256, broadcast _mm256_set1_epi32, add _mm256_add_epi32, shift _mm256_srli_epi32,
    rotate(x) _mm256_ror_epi32::<RIGHT>(x),
    xor(x, y, z) _mm256_ternarylogic_epi32::<0x96>(x, y, z),
    choose(x, y, z) _mm256_ternarylogic_epi32::<0xca>(x, y, z),
    majority(x, y, z) _mm256_ternarylogic_epi32::<0xe8>(x, y, z)
}

#[cfg(target_arch = "x86_64")]
lanes! {
    avx2_8, "avx2", 8, __m256i;
    load _mm256_loadu_si256, store _mm256_storeu_si256, broadcast _mm256_set1_epi32, add _mm256_add_epi32, shift _mm256_srli_epi32,
    rotate(x) _mm256_or_si256(_mm256_srli_epi32::<RIGHT>(x), _mm256_slli_epi32::<LEFT>(x)),
    xor(x, y, z) _mm256_xor_si256(_mm256_xor_si256(x, y), z),
    choose(x, y, z) _mm256_xor_si256(_mm256_and_si256(x, y), _mm256_andnot_si256(x, z)),
    majority(x, y, z) _mm256_or_si256(_mm256_and_si256(x, y), _mm256_and_si256(z, _mm256_or_si256(x, y)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of FIPS 180-4: "abc" and the one of 448 bits.
    #[test]
    fn the_standards_examples_come_out_in_every_lane() {
        let mut short = b"abc\x80".to_vec();
        short.resize(BLOCK - 1, 0);
        short.push(24);
        let mut long = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq\x80".to_vec();
        long.resize(2 * BLOCK - 2, 0);
        long.extend_from_slice(&448u16.to_be_bytes());
        for vectors in Vectors::all() {
            for count in 1..=LANES {
                for place in 0..count {
                    let mut states = vec![INITIAL; count];
                    for block in 0..2 {
                        let mut streams: Vec<Stream<'_>> = states
                            .iter_mut()
                            .enumerate()
                            .filter(|(lane, _)| block == 0 || *lane == place)
                            .map(|(lane, state)| {
                                let input = if lane == place { &long[block * BLOCK..] } else { &short[..] };
                                Stream { state, input }
                            })
                            .collect();
                        vectors.take(&mut streams, 1);
                    }
                    for (lane, state) in states.iter().enumerate() {
                        let expected = if lane == place {
                            [0x248d_6a61, 0x19db_06c1]
                        } else {
                            [0xba78_16bf, 0xf200_15ad]
                        };
                        assert_eq!([state[0], state[7]], expected, "{vectors:?}, lane {lane} of {count}");
                    }
                }
            }
        }
    }
}
