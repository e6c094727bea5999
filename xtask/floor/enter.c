// enter [--v2 DIRECTORY] PID PROGRAM [TASKS…]: the kernel operations of starting a program in a running container, made bare.
//
// It joins the namespaces of PID and the cgroups whose `tasks` files are named, forks, which a pid namespace takes, and executes.
// It sets no limit, id, capability or filter, reads no state, and the container can look into it.

#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OK(x) ok((long)(x), __LINE__)
static long ok(long outcome, int line) {
    if (outcome < 0) { fprintf(stderr, "enter.c:%d: ", line), perror(""); exit(125); }
    return outcome;
}

int main(int argc, char **argv) {
    struct clone_args args = {.exit_signal = SIGCHLD};
    int i = 1;
    if (argc > 3 && !strcmp(argv[1], "--v2")) {
        args.flags = CLONE_INTO_CGROUP;
        args.cgroup = OK(open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        i = 3;
    }
    if (argc - i < 2) return 125;
    int pidfd = OK(syscall(SYS_pidfd_open, atoi(argv[i]), 0));
    char *program = argv[i + 1];
    for (int n = i + 2; n < argc; n++) {
        int fd = OK(open(argv[n], O_WRONLY | O_CLOEXEC));
        OK(write(fd, "0", 1));
        close(fd);
    }
    OK(setns(pidfd, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWCGROUP));
    long pid = OK(syscall(SYS_clone3, &args, sizeof args));
    if (!pid) {
        char *none[] = {program, 0};
        execve(program, none, none + 1);
        _exit(127);
    }
    int status;
    OK(waitpid(pid, &status, 0));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
