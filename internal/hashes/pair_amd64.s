#include "textflag.h"

// MD5 is a chain in which each instruction waits for the one before: it leaves most of the processor idle. SHA-512 is done meanwhile by
// other execution units: in vector registers, while MD5 has the general ones. A block of 128 bytes is 128 steps of MD5 and
// 80 rounds of SHA-512. The processor looks some 300 instructions ahead, so they alternate every few of them.

// MD5, by RFC 1321. The state is in R10 to R13. What waits for b, which the step before made, is kept short.

#define STEP_BEGIN(a, word, constant) \
	ADDL $constant, a \
	ADDL (4*word)(SI), a

#define STEP_END(a, b, shift) \
	ADDL R14, a \
	ROLL $shift, a \
	ADDL b, a

// b and c, or not b and d
#define F(a, b, c, d, word, shift, constant) \
	STEP_BEGIN(a, word, constant) \
	MOVL c, R14 \
	XORL d, R14 \
	ANDL b, R14 \
	XORL d, R14 \
	STEP_END(a, b, shift)

// b and d, or c and not d: never both, so they can be added
#define G(a, b, c, d, word, shift, constant) \
	STEP_BEGIN(a, word, constant) \
	ANDNL c, d, R14 \
	ADDL R14, a \
	MOVL d, R14 \
	ANDL b, R14 \
	STEP_END(a, b, shift)

// b xor c xor d
#define H(a, b, c, d, word, shift, constant) \
	STEP_BEGIN(a, word, constant) \
	MOVL c, R14 \
	XORL d, R14 \
	XORL b, R14 \
	STEP_END(a, b, shift)

// c xor (b or not d)
#define I(a, b, c, d, word, shift, constant) \
	STEP_BEGIN(a, word, constant) \
	MOVL $-1, R14 \
	XORL d, R14 \
	ORL b, R14 \
	XORL c, R14 \
	STEP_END(a, b, shift)

#define REMEMBER_MD5 \
	MOVL R10, AX \
	MOVL R11, BX \
	MOVL R12, CX \
	MOVL R13, DX

#define ADD_MD5 \
	ADDL AX, R10 \
	ADDL BX, R11 \
	ADDL CX, R12 \
	ADDL DX, R13

// SHA-512, by FIPS 180-4. The state is in X16 to X23, the sixteen words that the next rounds need are in X0 to X7.

#define WORDS(offset, w) \
	VMOVDQU offset(SI), w \
	VPSHUFB X8, w, w

// leaves in X27 what x is, rotated three times, xor
#define ROTATIONS(x, first, second, third) \
	VPRORQ $first, x, X25 \
	VPRORQ $second, x, X26 \
	VPRORQ $third, x, X27 \
	VPTERNLOGQ $0x96, X25, X26, X27

// takes the sum of the word and the constant out of X9; 0xca chooses f or g by e, 0xe8 is what most of a, b and c are; the next
// round waits for d first of all
#define ROUND(a, b, c, d, e, f, g, h) \
	VPADDQ X9, h, h \
	VMOVDQA64 e, X24 \
	VPTERNLOGQ $0xca, g, f, X24 \
	VPADDQ X24, h, h \
	ROTATIONS(e, 14, 18, 41) \
	VPADDQ h, d, d \
	VPADDQ X27, d, d \
	VPADDQ X27, h, h \
	VMOVDQA64 a, X24 \
	VPTERNLOGQ $0xe8, c, b, X24 \
	VPADDQ X24, h, h \
	ROTATIONS(a, 28, 34, 39) \
	VPADDQ X27, h, h

#define ROUNDS(round, words, a, b, c, d, e, f, g, h) \
	VPADDQ sha512Table<>+(8*round)(SB), words, X9 \
	ROUND(a, b, c, d, e, f, g, h) \
	VPUNPCKHQDQ X9, X9, X9 \
	ROUND(h, a, b, c, d, e, f, g)

// leaves in X10 what x is, rotated twice and shifted, xor
#define SIGMA(x, first, second, shift) \
	VPRORQ $first, x, X11 \
	VPRORQ $second, x, X12 \
	VPSRLQ $shift, x, X10 \
	VPTERNLOGQ $0x96, X11, X12, X10

// replaces the words 16 before the new ones; the others are from 15, 7 and 2 before
#define SCHEDULE(w16, w14, w8, w6, w2) \
	VPALIGNR $8, w16, w14, X13 \
	SIGMA(X13, 1, 8, 7) \
	VPADDQ X10, w16, w16 \
	VPALIGNR $8, w8, w6, X13 \
	VPADDQ X13, w16, w16 \
	SIGMA(w2, 19, 61, 6) \
	VPADDQ X10, w16, w16

#define ADD_SHA512(offset, x) \
	VMOVQ offset(R8), X24 \
	VPADDQ X24, x, x \
	VMOVQ x, offset(R8)

// func blocksAVX512(md5 *[4]uint32, sha512 *[8]uint64, p *byte, n int)
TEXT ·blocksAVX512(SB), NOSPLIT, $0-32
	MOVQ md5+0(FP), DI
	MOVQ sha512+8(FP), R8
	MOVQ p+16(FP), SI
	MOVQ n+24(FP), R9
	VMOVDQU sha512Order<>(SB), X8
	MOVL 0(DI), R10
	MOVL 4(DI), R11
	MOVL 8(DI), R12
	MOVL 12(DI), R13
	VMOVQ 0(R8), X16
	VMOVQ 8(R8), X17
	VMOVQ 16(R8), X18
	VMOVQ 24(R8), X19
	VMOVQ 32(R8), X20
	VMOVQ 40(R8), X21
	VMOVQ 48(R8), X22
	VMOVQ 56(R8), X23

loop:
	WORDS(0, X0)
	WORDS(16, X1)
	WORDS(32, X2)
	WORDS(48, X3)
	WORDS(64, X4)
	WORDS(80, X5)
	WORDS(96, X6)
	WORDS(112, X7)
	ROUNDS(0, X0, X16, X17, X18, X19, X20, X21, X22, X23)
	SCHEDULE(X0, X1, X4, X5, X7)
	REMEMBER_MD5
	F(R10, R11, R12, R13, 0, 7, 0xd76aa478)
	F(R13, R10, R11, R12, 1, 12, 0xe8c7b756)
	F(R12, R13, R10, R11, 2, 17, 0x242070db)
	ROUNDS(2, X1, X22, X23, X16, X17, X18, X19, X20, X21)
	SCHEDULE(X1, X2, X5, X6, X0)
	F(R11, R12, R13, R10, 3, 22, 0xc1bdceee)
	F(R10, R11, R12, R13, 4, 7, 0xf57c0faf)
	F(R13, R10, R11, R12, 5, 12, 0x4787c62a)
	ROUNDS(4, X2, X20, X21, X22, X23, X16, X17, X18, X19)
	SCHEDULE(X2, X3, X6, X7, X1)
	F(R12, R13, R10, R11, 6, 17, 0xa8304613)
	F(R11, R12, R13, R10, 7, 22, 0xfd469501)
	F(R10, R11, R12, R13, 8, 7, 0x698098d8)
	ROUNDS(6, X3, X18, X19, X20, X21, X22, X23, X16, X17)
	SCHEDULE(X3, X4, X7, X0, X2)
	F(R13, R10, R11, R12, 9, 12, 0x8b44f7af)
	F(R12, R13, R10, R11, 10, 17, 0xffff5bb1)
	F(R11, R12, R13, R10, 11, 22, 0x895cd7be)
	ROUNDS(8, X4, X16, X17, X18, X19, X20, X21, X22, X23)
	SCHEDULE(X4, X5, X0, X1, X3)
	F(R10, R11, R12, R13, 12, 7, 0x6b901122)
	F(R13, R10, R11, R12, 13, 12, 0xfd987193)
	F(R12, R13, R10, R11, 14, 17, 0xa679438e)
	F(R11, R12, R13, R10, 15, 22, 0x49b40821)
	ROUNDS(10, X5, X22, X23, X16, X17, X18, X19, X20, X21)
	SCHEDULE(X5, X6, X1, X2, X4)
	G(R10, R11, R12, R13, 1, 5, 0xf61e2562)
	G(R13, R10, R11, R12, 6, 9, 0xc040b340)
	G(R12, R13, R10, R11, 11, 14, 0x265e5a51)
	ROUNDS(12, X6, X20, X21, X22, X23, X16, X17, X18, X19)
	SCHEDULE(X6, X7, X2, X3, X5)
	G(R11, R12, R13, R10, 0, 20, 0xe9b6c7aa)
	G(R10, R11, R12, R13, 5, 5, 0xd62f105d)
	G(R13, R10, R11, R12, 10, 9, 0x02441453)
	ROUNDS(14, X7, X18, X19, X20, X21, X22, X23, X16, X17)
	SCHEDULE(X7, X0, X3, X4, X6)
	G(R12, R13, R10, R11, 15, 14, 0xd8a1e681)
	G(R11, R12, R13, R10, 4, 20, 0xe7d3fbc8)
	G(R10, R11, R12, R13, 9, 5, 0x21e1cde6)
	ROUNDS(16, X0, X16, X17, X18, X19, X20, X21, X22, X23)
	SCHEDULE(X0, X1, X4, X5, X7)
	G(R13, R10, R11, R12, 14, 9, 0xc33707d6)
	G(R12, R13, R10, R11, 3, 14, 0xf4d50d87)
	G(R11, R12, R13, R10, 8, 20, 0x455a14ed)
	ROUNDS(18, X1, X22, X23, X16, X17, X18, X19, X20, X21)
	SCHEDULE(X1, X2, X5, X6, X0)
	G(R10, R11, R12, R13, 13, 5, 0xa9e3e905)
	G(R13, R10, R11, R12, 2, 9, 0xfcefa3f8)
	G(R12, R13, R10, R11, 7, 14, 0x676f02d9)
	G(R11, R12, R13, R10, 12, 20, 0x8d2a4c8a)
	ROUNDS(20, X2, X20, X21, X22, X23, X16, X17, X18, X19)
	SCHEDULE(X2, X3, X6, X7, X1)
	H(R10, R11, R12, R13, 5, 4, 0xfffa3942)
	H(R13, R10, R11, R12, 8, 11, 0x8771f681)
	H(R12, R13, R10, R11, 11, 16, 0x6d9d6122)
	ROUNDS(22, X3, X18, X19, X20, X21, X22, X23, X16, X17)
	SCHEDULE(X3, X4, X7, X0, X2)
	H(R11, R12, R13, R10, 14, 23, 0xfde5380c)
	H(R10, R11, R12, R13, 1, 4, 0xa4beea44)
	H(R13, R10, R11, R12, 4, 11, 0x4bdecfa9)
	ROUNDS(24, X4, X16, X17, X18, X19, X20, X21, X22, X23)
	SCHEDULE(X4, X5, X0, X1, X3)
	H(R12, R13, R10, R11, 7, 16, 0xf6bb4b60)
	H(R11, R12, R13, R10, 10, 23, 0xbebfbc70)
	H(R10, R11, R12, R13, 13, 4, 0x289b7ec6)
	ROUNDS(26, X5, X22, X23, X16, X17, X18, X19, X20, X21)
	SCHEDULE(X5, X6, X1, X2, X4)
	H(R13, R10, R11, R12, 0, 11, 0xeaa127fa)
	H(R12, R13, R10, R11, 3, 16, 0xd4ef3085)
	H(R11, R12, R13, R10, 6, 23, 0x04881d05)
	ROUNDS(28, X6, X20, X21, X22, X23, X16, X17, X18, X19)
	SCHEDULE(X6, X7, X2, X3, X5)
	H(R10, R11, R12, R13, 9, 4, 0xd9d4d039)
	H(R13, R10, R11, R12, 12, 11, 0xe6db99e5)
	H(R12, R13, R10, R11, 15, 16, 0x1fa27cf8)
	H(R11, R12, R13, R10, 2, 23, 0xc4ac5665)
	ROUNDS(30, X7, X18, X19, X20, X21, X22, X23, X16, X17)
	SCHEDULE(X7, X0, X3, X4, X6)
	I(R10, R11, R12, R13, 0, 6, 0xf4292244)
	I(R13, R10, R11, R12, 7, 10, 0x432aff97)
	I(R12, R13, R10, R11, 14, 15, 0xab9423a7)
	ROUNDS(32, X0, X16, X17, X18, X19, X20, X21, X22, X23)
	SCHEDULE(X0, X1, X4, X5, X7)
	I(R11, R12, R13, R10, 5, 21, 0xfc93a039)
	I(R10, R11, R12, R13, 12, 6, 0x655b59c3)
	I(R13, R10, R11, R12, 3, 10, 0x8f0ccc92)
	ROUNDS(34, X1, X22, X23, X16, X17, X18, X19, X20, X21)
	SCHEDULE(X1, X2, X5, X6, X0)
	I(R12, R13, R10, R11, 10, 15, 0xffeff47d)
	I(R11, R12, R13, R10, 1, 21, 0x85845dd1)
	I(R10, R11, R12, R13, 8, 6, 0x6fa87e4f)
	ROUNDS(36, X2, X20, X21, X22, X23, X16, X17, X18, X19)
	SCHEDULE(X2, X3, X6, X7, X1)
	I(R13, R10, R11, R12, 15, 10, 0xfe2ce6e0)
	I(R12, R13, R10, R11, 6, 15, 0xa3014314)
	I(R11, R12, R13, R10, 13, 21, 0x4e0811a1)
	ROUNDS(38, X3, X18, X19, X20, X21, X22, X23, X16, X17)
	SCHEDULE(X3, X4, X7, X0, X2)
	I(R10, R11, R12, R13, 4, 6, 0xf7537e82)
	I(R13, R10, R11, R12, 11, 10, 0xbd3af235)
	I(R12, R13, R10, R11, 2, 15, 0x2ad7d2bb)
	I(R11, R12, R13, R10, 9, 21, 0xeb86d391)
	ADD_MD5
	ROUNDS(40, X4, X16, X17, X18, X19, X20, X21, X22, X23)
	SCHEDULE(X4, X5, X0, X1, X3)
	REMEMBER_MD5
	F(R10, R11, R12, R13, 16, 7, 0xd76aa478)
	F(R13, R10, R11, R12, 17, 12, 0xe8c7b756)
	F(R12, R13, R10, R11, 18, 17, 0x242070db)
	ROUNDS(42, X5, X22, X23, X16, X17, X18, X19, X20, X21)
	SCHEDULE(X5, X6, X1, X2, X4)
	F(R11, R12, R13, R10, 19, 22, 0xc1bdceee)
	F(R10, R11, R12, R13, 20, 7, 0xf57c0faf)
	F(R13, R10, R11, R12, 21, 12, 0x4787c62a)
	ROUNDS(44, X6, X20, X21, X22, X23, X16, X17, X18, X19)
	SCHEDULE(X6, X7, X2, X3, X5)
	F(R12, R13, R10, R11, 22, 17, 0xa8304613)
	F(R11, R12, R13, R10, 23, 22, 0xfd469501)
	F(R10, R11, R12, R13, 24, 7, 0x698098d8)
	ROUNDS(46, X7, X18, X19, X20, X21, X22, X23, X16, X17)
	SCHEDULE(X7, X0, X3, X4, X6)
	F(R13, R10, R11, R12, 25, 12, 0x8b44f7af)
	F(R12, R13, R10, R11, 26, 17, 0xffff5bb1)
	F(R11, R12, R13, R10, 27, 22, 0x895cd7be)
	ROUNDS(48, X0, X16, X17, X18, X19, X20, X21, X22, X23)
	SCHEDULE(X0, X1, X4, X5, X7)
	F(R10, R11, R12, R13, 28, 7, 0x6b901122)
	F(R13, R10, R11, R12, 29, 12, 0xfd987193)
	F(R12, R13, R10, R11, 30, 17, 0xa679438e)
	F(R11, R12, R13, R10, 31, 22, 0x49b40821)
	ROUNDS(50, X1, X22, X23, X16, X17, X18, X19, X20, X21)
	SCHEDULE(X1, X2, X5, X6, X0)
	G(R10, R11, R12, R13, 17, 5, 0xf61e2562)
	G(R13, R10, R11, R12, 22, 9, 0xc040b340)
	G(R12, R13, R10, R11, 27, 14, 0x265e5a51)
	ROUNDS(52, X2, X20, X21, X22, X23, X16, X17, X18, X19)
	SCHEDULE(X2, X3, X6, X7, X1)
	G(R11, R12, R13, R10, 16, 20, 0xe9b6c7aa)
	G(R10, R11, R12, R13, 21, 5, 0xd62f105d)
	G(R13, R10, R11, R12, 26, 9, 0x02441453)
	ROUNDS(54, X3, X18, X19, X20, X21, X22, X23, X16, X17)
	SCHEDULE(X3, X4, X7, X0, X2)
	G(R12, R13, R10, R11, 31, 14, 0xd8a1e681)
	G(R11, R12, R13, R10, 20, 20, 0xe7d3fbc8)
	G(R10, R11, R12, R13, 25, 5, 0x21e1cde6)
	ROUNDS(56, X4, X16, X17, X18, X19, X20, X21, X22, X23)
	SCHEDULE(X4, X5, X0, X1, X3)
	G(R13, R10, R11, R12, 30, 9, 0xc33707d6)
	G(R12, R13, R10, R11, 19, 14, 0xf4d50d87)
	G(R11, R12, R13, R10, 24, 20, 0x455a14ed)
	ROUNDS(58, X5, X22, X23, X16, X17, X18, X19, X20, X21)
	SCHEDULE(X5, X6, X1, X2, X4)
	G(R10, R11, R12, R13, 29, 5, 0xa9e3e905)
	G(R13, R10, R11, R12, 18, 9, 0xfcefa3f8)
	G(R12, R13, R10, R11, 23, 14, 0x676f02d9)
	G(R11, R12, R13, R10, 28, 20, 0x8d2a4c8a)
	ROUNDS(60, X6, X20, X21, X22, X23, X16, X17, X18, X19)
	SCHEDULE(X6, X7, X2, X3, X5)
	H(R10, R11, R12, R13, 21, 4, 0xfffa3942)
	H(R13, R10, R11, R12, 24, 11, 0x8771f681)
	H(R12, R13, R10, R11, 27, 16, 0x6d9d6122)
	ROUNDS(62, X7, X18, X19, X20, X21, X22, X23, X16, X17)
	SCHEDULE(X7, X0, X3, X4, X6)
	H(R11, R12, R13, R10, 30, 23, 0xfde5380c)
	H(R10, R11, R12, R13, 17, 4, 0xa4beea44)
	H(R13, R10, R11, R12, 20, 11, 0x4bdecfa9)
	ROUNDS(64, X0, X16, X17, X18, X19, X20, X21, X22, X23)
	H(R12, R13, R10, R11, 23, 16, 0xf6bb4b60)
	H(R11, R12, R13, R10, 26, 23, 0xbebfbc70)
	H(R10, R11, R12, R13, 29, 4, 0x289b7ec6)
	ROUNDS(66, X1, X22, X23, X16, X17, X18, X19, X20, X21)
	H(R13, R10, R11, R12, 16, 11, 0xeaa127fa)
	H(R12, R13, R10, R11, 19, 16, 0xd4ef3085)
	H(R11, R12, R13, R10, 22, 23, 0x04881d05)
	ROUNDS(68, X2, X20, X21, X22, X23, X16, X17, X18, X19)
	H(R10, R11, R12, R13, 25, 4, 0xd9d4d039)
	H(R13, R10, R11, R12, 28, 11, 0xe6db99e5)
	H(R12, R13, R10, R11, 31, 16, 0x1fa27cf8)
	H(R11, R12, R13, R10, 18, 23, 0xc4ac5665)
	ROUNDS(70, X3, X18, X19, X20, X21, X22, X23, X16, X17)
	I(R10, R11, R12, R13, 16, 6, 0xf4292244)
	I(R13, R10, R11, R12, 23, 10, 0x432aff97)
	I(R12, R13, R10, R11, 30, 15, 0xab9423a7)
	ROUNDS(72, X4, X16, X17, X18, X19, X20, X21, X22, X23)
	I(R11, R12, R13, R10, 21, 21, 0xfc93a039)
	I(R10, R11, R12, R13, 28, 6, 0x655b59c3)
	I(R13, R10, R11, R12, 19, 10, 0x8f0ccc92)
	ROUNDS(74, X5, X22, X23, X16, X17, X18, X19, X20, X21)
	I(R12, R13, R10, R11, 26, 15, 0xffeff47d)
	I(R11, R12, R13, R10, 17, 21, 0x85845dd1)
	I(R10, R11, R12, R13, 24, 6, 0x6fa87e4f)
	ROUNDS(76, X6, X20, X21, X22, X23, X16, X17, X18, X19)
	I(R13, R10, R11, R12, 31, 10, 0xfe2ce6e0)
	I(R12, R13, R10, R11, 22, 15, 0xa3014314)
	I(R11, R12, R13, R10, 29, 21, 0x4e0811a1)
	ROUNDS(78, X7, X18, X19, X20, X21, X22, X23, X16, X17)
	I(R10, R11, R12, R13, 20, 6, 0xf7537e82)
	I(R13, R10, R11, R12, 27, 10, 0xbd3af235)
	I(R12, R13, R10, R11, 18, 15, 0x2ad7d2bb)
	I(R11, R12, R13, R10, 25, 21, 0xeb86d391)
	ADD_MD5
	ADD_SHA512(0, X16)
	ADD_SHA512(8, X17)
	ADD_SHA512(16, X18)
	ADD_SHA512(24, X19)
	ADD_SHA512(32, X20)
	ADD_SHA512(40, X21)
	ADD_SHA512(48, X22)
	ADD_SHA512(56, X23)
	ADDQ $128, SI
	DECQ R9
	JNZ loop

	MOVL R10, 0(DI)
	MOVL R11, 4(DI)
	MOVL R12, 8(DI)
	MOVL R13, 12(DI)
	RET

// reverses the bytes of words
DATA sha512Order<>+0(SB)/8, $0x0001020304050607
DATA sha512Order<>+8(SB)/8, $0x08090a0b0c0d0e0f
GLOBL sha512Order<>(SB), RODATA|NOPTR, $16

DATA sha512Table<>+0(SB)/8, $0x428a2f98d728ae22
DATA sha512Table<>+8(SB)/8, $0x7137449123ef65cd
DATA sha512Table<>+16(SB)/8, $0xb5c0fbcfec4d3b2f
DATA sha512Table<>+24(SB)/8, $0xe9b5dba58189dbbc
DATA sha512Table<>+32(SB)/8, $0x3956c25bf348b538
DATA sha512Table<>+40(SB)/8, $0x59f111f1b605d019
DATA sha512Table<>+48(SB)/8, $0x923f82a4af194f9b
DATA sha512Table<>+56(SB)/8, $0xab1c5ed5da6d8118
DATA sha512Table<>+64(SB)/8, $0xd807aa98a3030242
DATA sha512Table<>+72(SB)/8, $0x12835b0145706fbe
DATA sha512Table<>+80(SB)/8, $0x243185be4ee4b28c
DATA sha512Table<>+88(SB)/8, $0x550c7dc3d5ffb4e2
DATA sha512Table<>+96(SB)/8, $0x72be5d74f27b896f
DATA sha512Table<>+104(SB)/8, $0x80deb1fe3b1696b1
DATA sha512Table<>+112(SB)/8, $0x9bdc06a725c71235
DATA sha512Table<>+120(SB)/8, $0xc19bf174cf692694
DATA sha512Table<>+128(SB)/8, $0xe49b69c19ef14ad2
DATA sha512Table<>+136(SB)/8, $0xefbe4786384f25e3
DATA sha512Table<>+144(SB)/8, $0x0fc19dc68b8cd5b5
DATA sha512Table<>+152(SB)/8, $0x240ca1cc77ac9c65
DATA sha512Table<>+160(SB)/8, $0x2de92c6f592b0275
DATA sha512Table<>+168(SB)/8, $0x4a7484aa6ea6e483
DATA sha512Table<>+176(SB)/8, $0x5cb0a9dcbd41fbd4
DATA sha512Table<>+184(SB)/8, $0x76f988da831153b5
DATA sha512Table<>+192(SB)/8, $0x983e5152ee66dfab
DATA sha512Table<>+200(SB)/8, $0xa831c66d2db43210
DATA sha512Table<>+208(SB)/8, $0xb00327c898fb213f
DATA sha512Table<>+216(SB)/8, $0xbf597fc7beef0ee4
DATA sha512Table<>+224(SB)/8, $0xc6e00bf33da88fc2
DATA sha512Table<>+232(SB)/8, $0xd5a79147930aa725
DATA sha512Table<>+240(SB)/8, $0x06ca6351e003826f
DATA sha512Table<>+248(SB)/8, $0x142929670a0e6e70
DATA sha512Table<>+256(SB)/8, $0x27b70a8546d22ffc
DATA sha512Table<>+264(SB)/8, $0x2e1b21385c26c926
DATA sha512Table<>+272(SB)/8, $0x4d2c6dfc5ac42aed
DATA sha512Table<>+280(SB)/8, $0x53380d139d95b3df
DATA sha512Table<>+288(SB)/8, $0x650a73548baf63de
DATA sha512Table<>+296(SB)/8, $0x766a0abb3c77b2a8
DATA sha512Table<>+304(SB)/8, $0x81c2c92e47edaee6
DATA sha512Table<>+312(SB)/8, $0x92722c851482353b
DATA sha512Table<>+320(SB)/8, $0xa2bfe8a14cf10364
DATA sha512Table<>+328(SB)/8, $0xa81a664bbc423001
DATA sha512Table<>+336(SB)/8, $0xc24b8b70d0f89791
DATA sha512Table<>+344(SB)/8, $0xc76c51a30654be30
DATA sha512Table<>+352(SB)/8, $0xd192e819d6ef5218
DATA sha512Table<>+360(SB)/8, $0xd69906245565a910
DATA sha512Table<>+368(SB)/8, $0xf40e35855771202a
DATA sha512Table<>+376(SB)/8, $0x106aa07032bbd1b8
DATA sha512Table<>+384(SB)/8, $0x19a4c116b8d2d0c8
DATA sha512Table<>+392(SB)/8, $0x1e376c085141ab53
DATA sha512Table<>+400(SB)/8, $0x2748774cdf8eeb99
DATA sha512Table<>+408(SB)/8, $0x34b0bcb5e19b48a8
DATA sha512Table<>+416(SB)/8, $0x391c0cb3c5c95a63
DATA sha512Table<>+424(SB)/8, $0x4ed8aa4ae3418acb
DATA sha512Table<>+432(SB)/8, $0x5b9cca4f7763e373
DATA sha512Table<>+440(SB)/8, $0x682e6ff3d6b2b8a3
DATA sha512Table<>+448(SB)/8, $0x748f82ee5defb2fc
DATA sha512Table<>+456(SB)/8, $0x78a5636f43172f60
DATA sha512Table<>+464(SB)/8, $0x84c87814a1f0ab72
DATA sha512Table<>+472(SB)/8, $0x8cc702081a6439ec
DATA sha512Table<>+480(SB)/8, $0x90befffa23631e28
DATA sha512Table<>+488(SB)/8, $0xa4506cebde82bde9
DATA sha512Table<>+496(SB)/8, $0xbef9a3f7b2c67915
DATA sha512Table<>+504(SB)/8, $0xc67178f2e372532b
DATA sha512Table<>+512(SB)/8, $0xca273eceea26619c
DATA sha512Table<>+520(SB)/8, $0xd186b8c721c0c207
DATA sha512Table<>+528(SB)/8, $0xeada7dd6cde0eb1e
DATA sha512Table<>+536(SB)/8, $0xf57d4f7fee6ed178
DATA sha512Table<>+544(SB)/8, $0x06f067aa72176fba
DATA sha512Table<>+552(SB)/8, $0x0a637dc5a2c898a6
DATA sha512Table<>+560(SB)/8, $0x113f9804bef90dae
DATA sha512Table<>+568(SB)/8, $0x1b710b35131c471b
DATA sha512Table<>+576(SB)/8, $0x28db77f523047d84
DATA sha512Table<>+584(SB)/8, $0x32caab7b40c72493
DATA sha512Table<>+592(SB)/8, $0x3c9ebe0a15c9bebc
DATA sha512Table<>+600(SB)/8, $0x431d67c49c100d4c
DATA sha512Table<>+608(SB)/8, $0x4cc5d4becb3e42b6
DATA sha512Table<>+616(SB)/8, $0x597f299cfc657e2a
DATA sha512Table<>+624(SB)/8, $0x5fcb6fab3ad6faec
DATA sha512Table<>+632(SB)/8, $0x6c44198c4a475817
GLOBL sha512Table<>(SB), RODATA|NOPTR, $640
