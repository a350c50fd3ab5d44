# Make the child of a start, and in it a few system calls from a table: see vfork.py, which holds
# these instructions as bytes; a test assembles this file and compares.
#
# long start(table *rdi): the pid of the child, or the error of clone3 as a negative number
#
#   table:  0 terms of clone3         8 their size      16 calls made
#          24 what the last one said 32 how many calls  40 the calls: number and four arguments each
#
# The child shares our memory, the stack included, so it uses none. What it leaves is in the table.

    .intel_syntax noprefix
start:
    mov     r8, rdi                 # kept by the kernel, in parent and child
    mov     rsi, [rdi+8]
    mov     rdi, [rdi]
    mov     eax, 435                # clone3
    syscall
    test    rax, rax
    jz      child
    ret                             # CLONE_VFORK: the child has executed, or ended
child:
    mov     r14, r8
    lea     r13, [r8+40]
    xor     r15d, r15d
next:
    mov     rax, [r13]
    mov     rdi, [r13+8]
    mov     rsi, [r13+16]
    mov     rdx, [r13+24]
    mov     r10, [r13+32]
    syscall                         # of execve, only a failure comes back
    test    rax, rax
    js      fail
    inc     r15
    add     r13, 40
    cmp     r15, [r14+32]
    jb      next
fail:
    mov     [r14+16], r15
    mov     [r14+24], rax
    mov     edi, 127
    mov     eax, 231                # exit_group
    syscall
