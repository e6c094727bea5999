/* Makes system calls with and without a filter, for tests/kernel.rs.
 *
 *   loader FILTER < calls
 *
 * FILTER holds an array of struct sock_filter. A call is "native NUMBER ARG*6" or, through int 0x80, "compat NUMBER ARG*6". Each
 * is made twice, in processes of its own: without the filter, and with it. Printed is what came back ("return -1 means
 * EPERM" as the kernel does, no errno), or "signal N".
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct result {
	int done;
	long value;
};

static long native(unsigned long nr, const unsigned long *a)
{
	long ret;
	register unsigned long r10 __asm__("r10") = a[3];
	register unsigned long r8 __asm__("r8") = a[4];
	register unsigned long r9 __asm__("r9") = a[5];
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

static long compat(unsigned long nr, const unsigned long *a)
{
	long ret;
	__asm__ volatile("int $0x80"
			 : "=a"(ret)
			 : "a"(nr), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4])
			 : "r8", "r9", "r10", "r11", "memory");
	return (int)ret;
}

static void try(volatile struct result *result, const struct sock_fprog *program, int is_compat, unsigned long nr,
		const unsigned long *args)
{
	int status;
	pid_t pid;

	result->done = 0;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		const struct rlimit none = { 0, 0 };
		setrlimit(RLIMIT_CORE, &none);
		if (program && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
				syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, program))) {
			perror("seccomp");
			_exit(3);
		}
		result->value = is_compat ? compat(nr, args) : native(nr, args);
		result->done = 1;
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		printf("fork failed");
	else if (result->done)
		printf("%ld", result->value);
	else if (WIFSIGNALED(status))
		printf("signal %d", WTERMSIG(status));
	else
		printf("exit %d", WEXITSTATUS(status));
}

int main(int argc, char **argv)
{
	static struct sock_filter filter[4096];
	char mode[16];
	unsigned long nr, a[6];
	struct result *result;
	struct sock_fprog program = { 0, filter };
	FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;

	if (!file)
		return 2;
	program.len = fread(filter, sizeof(filter[0]), 4096, file);
	result = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	while (scanf("%15s %lu %lu %lu %lu %lu %lu %lu", mode, &nr, &a[0], &a[1], &a[2], &a[3], &a[4], &a[5]) == 8) {
		int is_compat = !strcmp(mode, "compat");
		try(result, NULL, is_compat, nr, a);
		printf(" | ");
		try(result, &program, is_compat, nr, a);
		printf("\n");
	}
	return 0;
}
