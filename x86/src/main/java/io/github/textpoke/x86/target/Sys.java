package io.github.textpoke.x86.target;

/**
 * Numbers of the kernel's interface that the tasks inside a target use (asm/unistd_64.h,
 * linux/ptrace.h, linux/sched.h and others). A test compares each with the C headers.
 */
final class Sys {
  static final int READ = 0;
  static final int CLOSE = 3;
  static final int MMAP = 9;
  static final int MUNMAP = 11;
  static final int RT_SIGACTION = 13;
  static final int RT_SIGPROCMASK = 14;
  static final int RT_SIGRETURN = 15;
  static final int PREAD64 = 17;
  static final int PWRITE64 = 18;
  static final int MADVISE = 28;
  static final int NANOSLEEP = 35;
  static final int SETITIMER = 38;
  static final int GETPID = 39;
  static final int CLONE = 56;
  static final int FORK = 57;
  static final int VFORK = 58;
  static final int EXECVE = 59;
  static final int EXIT = 60;
  static final int WAIT4 = 61;
  static final int KILL = 62;
  static final int FTRUNCATE = 77;
  static final int CHDIR = 80;
  static final int READLINK = 89;
  static final int PTRACE = 101;
  static final int GETPPID = 110;
  static final int RT_SIGTIMEDWAIT = 128;
  static final int SCHED_SETSCHEDULER = 144;
  static final int PRCTL = 157;
  static final int GETTID = 186;
  static final int FUTEX = 202;
  static final int SCHED_SETAFFINITY = 203;
  static final int GETDENTS64 = 217;
  static final int CLOCK_GETTIME = 228;
  static final int EXIT_GROUP = 231;
  static final int TGKILL = 234;
  static final int WAITID = 247;
  static final int OPENAT = 257;
  static final int DUP3 = 292;
  static final int KCMP = 312;
  static final int MEMFD_CREATE = 319;
  static final int MEMBARRIER = 324;
  static final int CLONE3 = 435;
  static final int CLOSE_RANGE = 436;

  static final int PTRACE_CONT = 7;
  static final int PTRACE_SINGLESTEP = 9;
  static final int PTRACE_GETREGS = 12;
  static final int PTRACE_SETREGS = 13;
  static final int PTRACE_DETACH = 17;
  static final int PTRACE_GETEVENTMSG = 0x4201;
  static final int PTRACE_GETSIGINFO = 0x4202;
  static final int PTRACE_SEIZE = 0x4206;
  static final int PTRACE_INTERRUPT = 0x4207;
  static final int PTRACE_LISTEN = 0x4208;
  static final int PTRACE_PEEKSIGINFO = 0x4209;
  static final int PTRACE_GETSIGMASK = 0x420a;
  static final int PTRACE_SETSIGMASK = 0x420b;
  static final int PTRACE_GET_RSEQ_CONFIGURATION = 0x420f;
  static final int PTRACE_EVENT_FORK = 1;
  static final int PTRACE_EVENT_VFORK = 2;
  static final int PTRACE_EVENT_CLONE = 3;
  static final int PTRACE_EVENT_EXEC = 4;
  static final int PTRACE_EVENT_STOP = 128;

  static final int SIGTRAP = 5;
  static final int SIGBUS = 7;
  static final int SIGKILL = 9;
  static final int SIGSEGV = 11;
  static final int SIGALRM = 14;
  static final int SIGTERM = 15;
  static final int SIGCHLD = 17;
  static final int SIGSTOP = 19;
  static final int SIGTTOU = 22;
  static final int SI_KERNEL = 0x80;
  static final int SIG_SETMASK = 2;
  static final int SIG_IGN = 1;
  static final int SA_SIGINFO = 4;
  static final int SA_RESTORER = 0x04000000;

  static final int EPERM = 1;
  static final int ESRCH = 3;
  static final int EINTR = 4;
  static final int EFBIG = 27;
  static final int ETIMEDOUT = 110;
  static final int ERESTARTNOINTR = 513;
  static final int ERESTARTNOHAND = 514;

  static final int PROT_READ = 1;
  static final int PROT_WRITE = 2;
  static final int PROT_EXEC = 4;
  static final int MAP_SHARED = 1;
  static final int MAP_PRIVATE = 2;
  static final int MAP_ANONYMOUS = 0x20;
  static final int MAP_FIXED_NOREPLACE = 0x100000;
  static final int MADV_DONTFORK = 10;
  static final int MFD_CLOEXEC = 1;
  static final int CLOSE_RANGE_UNSHARE = 2;
  static final int SCHED_OTHER = 0;
  static final int AT_FDCWD = -100;
  static final int O_RDONLY = 0;
  static final int O_RDWR = 2;
  static final int O_DIRECTORY = 0x10000;
  static final int O_CLOEXEC = 0x80000;
  static final int WNOHANG = 1;
  static final int WALL = 0x40000000;
  static final int WEXITED = 4;
  static final int P_ALL = 0;
  static final int ITIMER_REAL = 0;
  static final int CLONE_VM = 0x100;
  static final int CLONE_PARENT_SETTID = 0x100000;
  static final int CLONE_CHILD_CLEARTID = 0x200000;
  static final int FUTEX_WAIT = 0;
  static final int FUTEX_WAKE = 1;
  static final int CLOCK_MONOTONIC = 1;
  static final int KCMP_VM = 1;
  static final int MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE = 32;
  static final int MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE = 64;
  static final int PR_SET_PDEATHSIG = 1;
  static final int PR_SET_PTRACER = 0x59616d61;

  // ---------------------------------------------------------------- structs: offsets, sizes

  static final int REGISTERS_RAX = 80;
  static final int REGISTERS_ORIG_RAX = 120;
  static final int REGISTERS_RIP = 128;
  static final int REGISTERS_RSP = 152;

  /** The interrupted RIP in what a signal handler gets. */
  static final int CONTEXT_RIP = 0xa8;

  static final int SIGINFO_NUMBER = 0;
  static final int SIGINFO_CODE = 8;
  static final int SIGINFO_SIZE = 128;

  /** Of PTRACE_PEEKSIGINFO's argument: how many are wanted, 4 bytes. */
  static final int PEEK_COUNT = 12;

  static final int SIGSET_SIZE = 8;
  static final int ACTION_HANDLER = 0;
  static final int ACTION_FLAGS = 8;
  static final int ACTION_RESTORER = 16;
  static final int ACTION_MASK = 24;

  /** Of a directory's entry: its length, 2 bytes. */
  static final int ENTRY_LENGTH = 16;

  static final int ENTRY_NAME = 19;
  static final int TIME_SECONDS = 0;
  static final int TIME_NANOS = 8;
  static final int NANOS_PER_SECOND = 1_000_000_000;

  private Sys() {}
}
