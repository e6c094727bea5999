// timed COUNT PROGRAM [ARGUMENT…]: runs a program COUNT times in a row and says what that cost.
//
// One line on standard output: wall time in ns, processor time in us, peak memory in KiB, and the first wait status
// that was not 0. The kernel counts the memory of whoever spawned a program towards its peak (setmax_mm_hiwater_rss
// in exec), so the one who spawns has to be small; that is why this is not part of the Rust program.

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    int count = atoi(argv[1]), null = open("/dev/null", O_RDWR | O_CLOEXEC), failed = 0;
    long long cpu = 0, rss = 0, start = now();
    for (int i = 0; i < count && !failed; i++) {
        pid_t pid = vfork();
        if (pid == 0) {
            dup2(null, 0), dup2(null, 1);
            execv(argv[2], argv + 2);
            _exit(127);
        }
        struct rusage usage;
        if (pid < 0 || wait4(pid, &failed, 0, &usage) < 0) return 2;
        cpu += (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000ll + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
        if (usage.ru_maxrss > rss) rss = usage.ru_maxrss;
    }
    printf("%lld %lld %lld %d\n", now() - start, cpu, rss, failed);
    return 0;
}
