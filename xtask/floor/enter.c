// enter [--rights] [--v2 DIRECTORY] PID PROGRAM [TASKS…]: the kernel operations of starting a program in a running container, made bare.
//
// It joins the namespaces of PID and the cgroups whose `tasks` files are named, forks, which a pid namespace takes, and executes. With
// --rights the program gets a session, a keyring, limits, ids and capabilities as the container of the bench has them, and no descriptors;
// else those of the caller. It reads no state, loads no filter, and the container can look into it and reach its executable.

#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OK(x) ok((long)(x), __LINE__)
static long ok(long outcome, int line) {
    if (outcome < 0) { fprintf(stderr, "enter.c:%d: ", line), perror(""); exit(125); }
    return outcome;
}

static void take_rights(void) {
    // KEYCTL_JOIN_SESSION_KEYRING; there may be no keyrings.
    syscall(SYS_keyctl, 1, "enter");
    OK(chdir("/"));
    umask(022);
    struct rlimit files = {1024, 1024};
    OK(setrlimit(RLIMIT_NOFILE, &files));
    unsigned keep = 1u << CAP_AUDIT_WRITE | 1u << CAP_KILL | 1u << CAP_NET_BIND_SERVICE;
    for (int c = 0;; c++)
        if ((c > 31 || !(keep >> c & 1)) && prctl(PR_CAPBSET_DROP, c) < 0) break;
    OK(syscall(SYS_setgroups, 0, 0));
    OK(syscall(SYS_setresgid, 0, 0, 0));
    OK(syscall(SYS_setresuid, 0, 0, 0));
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2] = {{keep, keep, 0}, {0, 0, 0}};
    OK(syscall(SYS_capset, &header, sets));
    OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    // CLOSE_RANGE_CLOEXEC
    OK(syscall(SYS_close_range, 3, ~0u, 4));
    OK(setsid());
}

int main(int argc, char **argv) {
    struct clone_args args = {.exit_signal = SIGCHLD};
    int i = 1, rights = argc > i && !strcmp(argv[i], "--rights");
    i += rights;
    if (argc > i + 2 && !strcmp(argv[i], "--v2")) {
        args.flags = CLONE_INTO_CGROUP;
        args.cgroup = OK(open(argv[i + 1], O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        i += 2;
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
        if (rights) take_rights();
        char *none[] = {program, 0};
        execve(program, none, none + 1);
        _exit(127);
    }
    int status;
    OK(waitpid(pid, &status, 0));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
