// steps PROGRAM [ARGUMENT…]: the addresses that a static program runs through, one a line, in the order of their first time.
//
// It goes through the program one instruction at a time, not into its children, and not into what it executes in its own place. The
// addresses go to descriptor 3.

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

// Where linkers put the code of a program without position independence.
#define FROM 0x200000ul
#define SIZE (64ul << 20)
static unsigned char seen[SIZE];

int main(int argc, char **argv) {
    FILE *out = fdopen(3, "w");
    if (argc < 2 || !out) return 2;
    pid_t pid = fork();
    if (pid < 0) return 2;
    if (pid == 0) {
        fclose(out);
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        execv(argv[1], argv + 1);
        _exit(127);
    }
    int status, first = 1;
    while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
        if (first && ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC)) return 2;
        first = 0;
        if (status >> 16 == PTRACE_EVENT_EXEC) {
            if (ptrace(PTRACE_DETACH, pid, 0, 0)) return 2;
            continue;
        }
        struct user_regs_struct at;
        if (ptrace(PTRACE_GETREGS, pid, 0, &at)) return 2;
        if (at.rip - FROM < SIZE && !seen[at.rip - FROM]) {
            seen[at.rip - FROM] = 1;
            fprintf(out, "%llx\n", at.rip);
        }
        int signal = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
        if (ptrace(PTRACE_SINGLESTEP, pid, 0, signal)) return 2;
    }
    fclose(out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}
