//! memcpy(3), memmove(3), memcmp(3) and bcmp(3) for static programs that are linked with musl.
//!
//! Musl copies by string instructions, which take 20 to 30 ns to get going, and compares byte by byte. Most copies of a program that
//! reads configurations are a few bytes long, and there are thousands of them in a launch. The ones here take 2 to 3 ns. They are written
//! for the linker to take instead of the library's, and in assembly, since a compiler makes calls of these functions from loops like theirs.

#![allow(unsafe_code)]

#[cfg(target_env = "musl")]
core::arch::global_asm!(
    ".globl memcpy",
    ".globl memmove",
    ".globl memcmp",
    ".globl bcmp",
    ".set memcpy, holm_memmove",
    ".set memmove, holm_memmove",
    ".set memcmp, holm_memcmp",
    ".set bcmp, holm_memcmp",
);

// System V ABI: rdi is where to, rsi where from, rdx how much; rax is where to. What overlaps is read before it is written: both ends
// of up to 32 bytes, and of more the end that the loop comes to last.
core::arch::global_asm!(
    // Of its own, by which a linker can place it.
    ".section .text.holm_memmove, \"ax\", @progbits",
    ".p2align 5",
    ".globl holm_memmove",
    ".type holm_memmove, @function",
    "holm_memmove:",
    "mov rax, rdi",
    "cmp rdx, 16",
    "jb 3f",
    "movups xmm2, [rsi]",
    "movups xmm3, [rsi + rdx - 16]",
    "cmp rdx, 32",
    "ja 6f",
    "movups [rdi], xmm2",
    "movups [rdi + rdx - 16], xmm3",
    "ret",
    // Below 16.
    "3:",
    "cmp edx, 8",
    "jb 4f",
    "mov rcx, [rsi]",
    "mov r8, [rsi + rdx - 8]",
    "mov [rdi], rcx",
    "mov [rdi + rdx - 8], r8",
    "ret",
    "4:",
    "cmp edx, 4",
    "jb 5f",
    "mov ecx, [rsi]",
    "mov r8d, [rsi + rdx - 4]",
    "mov [rdi], ecx",
    "mov [rdi + rdx - 4], r8d",
    "ret",
    "5:",
    "test edx, edx",
    "jz 2f",
    // One to three: the first, the middle, the last.
    "mov r9, rdx",
    "shr r9, 1",
    "movzx ecx, byte ptr [rsi]",
    "movzx r10d, byte ptr [rsi + r9]",
    "movzx r8d, byte ptr [rsi + rdx - 1]",
    "mov [rdi], cl",
    "mov [rdi + r9], r10b",
    "mov [rdi + rdx - 1], r8b",
    "2:",
    "ret",
    // Above 32. Backwards where the target begins inside of the source.
    "6:",
    "mov rcx, rdi",
    "sub rcx, rsi",
    "cmp rcx, rdx",
    "jb 8f",
    "cmp rdx, 1024",
    "jae 9f",
    "lea r8, [rdi + rdx - 16]",
    "7:",
    "movups xmm0, [rsi]",
    "movups [rdi], xmm0",
    "add rsi, 16",
    "add rdi, 16",
    "cmp rdi, r8",
    "jb 7b",
    "movups [r8], xmm3",
    "ret",
    "8:",
    "movups xmm0, [rsi + rdx - 16]",
    "movups [rdi + rdx - 16], xmm0",
    "sub rdx, 16",
    "cmp rdx, 16",
    "ja 8b",
    "movups [rdi], xmm2",
    "ret",
    "9:",
    "mov rcx, rdx",
    "rep movsb",
    "ret",
    ".size holm_memmove, . - holm_memmove",
    ".text",
);

// The result is negative, 0 or positive as the first byte that differs is.
core::arch::global_asm!(
    // Of its own, by which a linker can place it.
    ".section .text.holm_memcmp, \"ax\", @progbits",
    ".p2align 5",
    ".globl holm_memcmp",
    ".type holm_memcmp, @function",
    "holm_memcmp:",
    "cmp rdx, 16",
    "jb 4f",
    "2:",
    "movdqu xmm0, [rdi]",
    "movdqu xmm1, [rsi]",
    "pcmpeqb xmm0, xmm1",
    "pmovmskb eax, xmm0",
    "xor eax, 0xffff",
    "jnz 3f",
    "add rdi, 16",
    "add rsi, 16",
    "sub rdx, 16",
    "cmp rdx, 16",
    "jae 2b",
    "test rdx, rdx",
    "jz 9f",
    // The last 16, of which some have been compared before.
    "lea rdi, [rdi + rdx - 16]",
    "lea rsi, [rsi + rdx - 16]",
    "mov edx, 16",
    "jmp 2b",
    "3:",
    "bsf ecx, eax",
    "movzx eax, byte ptr [rdi + rcx]",
    "movzx ecx, byte ptr [rsi + rcx]",
    "sub eax, ecx",
    "ret",
    // Below 16.
    "4:",
    "cmp edx, 8",
    "jb 5f",
    "mov rax, [rdi]",
    "mov rcx, [rsi]",
    "cmp rax, rcx",
    "jne 8f",
    "mov rax, [rdi + rdx - 8]",
    "mov rcx, [rsi + rdx - 8]",
    "cmp rax, rcx",
    "jne 8f",
    "xor eax, eax",
    "ret",
    "5:",
    "cmp edx, 4",
    "jb 6f",
    "mov eax, [rdi]",
    "mov ecx, [rsi]",
    "cmp eax, ecx",
    "jne 7f",
    "mov eax, [rdi + rdx - 4]",
    "mov ecx, [rsi + rdx - 4]",
    "cmp eax, ecx",
    "jne 7f",
    "xor eax, eax",
    "ret",
    "6:",
    "test edx, edx",
    "jz 9f",
    "movzx eax, byte ptr [rdi]",
    "movzx ecx, byte ptr [rsi]",
    "sub eax, ecx",
    "jnz 10f",
    "inc rdi",
    "inc rsi",
    "dec edx",
    "jmp 6b",
    // The lowest byte of a word in memory counts most.
    "7:",
    "bswap eax",
    "bswap ecx",
    "cmp eax, ecx",
    "sbb eax, eax",
    "or eax, 1",
    "ret",
    "8:",
    "bswap rax",
    "bswap rcx",
    "cmp rax, rcx",
    "sbb eax, eax",
    "or eax, 1",
    "ret",
    "9:",
    "xor eax, eax",
    "10:",
    "ret",
    ".size holm_memcmp, . - holm_memcmp",
    ".text",
);

#[cfg(test)]
mod tests {
    unsafe extern "C" {
        fn holm_memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8;
        fn holm_memcmp(left: *const u8, right: *const u8, len: usize) -> i32;
    }

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|index| (index * 37 % 251) as u8 + 1).collect()
    }

    #[test]
    fn what_is_copied_arrives_whole_and_nothing_beside_it_changes() {
        for len in (0..200).chain([255, 256, 511, 1023, 1024, 1025, 5000]) {
            for (from, to) in
                [(0, 0), (0, 1), (1, 0), (0, 3), (5, 0), (0, 15), (16, 0), (0, 17), (40, 7), (7, 40)]
            {
                let before = bytes(len + 64);
                let mut expected = before.clone();
                expected.copy_within(from..from + len, to);
                let mut buffer = before;
                let at = buffer.as_mut_ptr();
                // SAFETY: both ranges lie in the buffer.
                let returned = unsafe { holm_memmove(at.add(to), at.add(from), len) };
                assert_eq!(returned as usize, at as usize + to);
                assert!(buffer == expected, "{len} bytes from {from} to {to}");
            }
        }
    }

    #[test]
    fn what_is_compared_differs_where_the_first_byte_does() {
        for len in 0..150 {
            let left = bytes(len);
            // SAFETY: both have that many bytes.
            let compare = |right: &[u8]| unsafe { holm_memcmp(left.as_ptr(), right.as_ptr(), len) };
            assert_eq!(compare(&left), 0, "{len}");
            for place in 0..len {
                for byte in [0, left[place] ^ 0x80, 0xff] {
                    let mut right = left.clone();
                    right[place] = byte;
                    // What comes behind says the opposite.
                    right[place + 1..].iter_mut().for_each(|other| *other = byte.wrapping_add(128));
                    let expected = left.as_slice().cmp(&right) as i32;
                    assert_eq!(compare(&right).signum(), expected, "{len} {place} {byte}");
                }
            }
        }
    }
}
