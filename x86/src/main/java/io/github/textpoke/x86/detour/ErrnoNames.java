package io.github.textpoke.x86.detour;

import com.google.common.collect.ImmutableBiMap;
import com.google.common.collect.ImmutableMap;

/**
 * The names of the error numbers that x86-64 Linux has: include/uapi/asm-generic/errno-base.h and
 * errno.h of the kernel, and the C library's second names.
 */
final class ErrnoNames {
  private static final ImmutableBiMap<String, Integer> NUMBERS =
      ImmutableBiMap.<String, Integer>builder()
          .put("EPERM", 1)
          .put("ENOENT", 2)
          .put("ESRCH", 3)
          .put("EINTR", 4)
          .put("EIO", 5)
          .put("ENXIO", 6)
          .put("E2BIG", 7)
          .put("ENOEXEC", 8)
          .put("EBADF", 9)
          .put("ECHILD", 10)
          .put("EAGAIN", 11)
          .put("ENOMEM", 12)
          .put("EACCES", 13)
          .put("EFAULT", 14)
          .put("ENOTBLK", 15)
          .put("EBUSY", 16)
          .put("EEXIST", 17)
          .put("EXDEV", 18)
          .put("ENODEV", 19)
          .put("ENOTDIR", 20)
          .put("EISDIR", 21)
          .put("EINVAL", 22)
          .put("ENFILE", 23)
          .put("EMFILE", 24)
          .put("ENOTTY", 25)
          .put("ETXTBSY", 26)
          .put("EFBIG", 27)
          .put("ENOSPC", 28)
          .put("ESPIPE", 29)
          .put("EROFS", 30)
          .put("EMLINK", 31)
          .put("EPIPE", 32)
          .put("EDOM", 33)
          .put("ERANGE", 34)
          .put("EDEADLK", 35)
          .put("ENAMETOOLONG", 36)
          .put("ENOLCK", 37)
          .put("ENOSYS", 38)
          .put("ENOTEMPTY", 39)
          .put("ELOOP", 40)
          .put("ENOMSG", 42)
          .put("EIDRM", 43)
          .put("ECHRNG", 44)
          .put("EL2NSYNC", 45)
          .put("EL3HLT", 46)
          .put("EL3RST", 47)
          .put("ELNRNG", 48)
          .put("EUNATCH", 49)
          .put("ENOCSI", 50)
          .put("EL2HLT", 51)
          .put("EBADE", 52)
          .put("EBADR", 53)
          .put("EXFULL", 54)
          .put("ENOANO", 55)
          .put("EBADRQC", 56)
          .put("EBADSLT", 57)
          .put("EBFONT", 59)
          .put("ENOSTR", 60)
          .put("ENODATA", 61)
          .put("ETIME", 62)
          .put("ENOSR", 63)
          .put("ENONET", 64)
          .put("ENOPKG", 65)
          .put("EREMOTE", 66)
          .put("ENOLINK", 67)
          .put("EADV", 68)
          .put("ESRMNT", 69)
          .put("ECOMM", 70)
          .put("EPROTO", 71)
          .put("EMULTIHOP", 72)
          .put("EDOTDOT", 73)
          .put("EBADMSG", 74)
          .put("EOVERFLOW", 75)
          .put("ENOTUNIQ", 76)
          .put("EBADFD", 77)
          .put("EREMCHG", 78)
          .put("ELIBACC", 79)
          .put("ELIBBAD", 80)
          .put("ELIBSCN", 81)
          .put("ELIBMAX", 82)
          .put("ELIBEXEC", 83)
          .put("EILSEQ", 84)
          .put("ERESTART", 85)
          .put("ESTRPIPE", 86)
          .put("EUSERS", 87)
          .put("ENOTSOCK", 88)
          .put("EDESTADDRREQ", 89)
          .put("EMSGSIZE", 90)
          .put("EPROTOTYPE", 91)
          .put("ENOPROTOOPT", 92)
          .put("EPROTONOSUPPORT", 93)
          .put("ESOCKTNOSUPPORT", 94)
          .put("EOPNOTSUPP", 95)
          .put("EPFNOSUPPORT", 96)
          .put("EAFNOSUPPORT", 97)
          .put("EADDRINUSE", 98)
          .put("EADDRNOTAVAIL", 99)
          .put("ENETDOWN", 100)
          .put("ENETUNREACH", 101)
          .put("ENETRESET", 102)
          .put("ECONNABORTED", 103)
          .put("ECONNRESET", 104)
          .put("ENOBUFS", 105)
          .put("EISCONN", 106)
          .put("ENOTCONN", 107)
          .put("ESHUTDOWN", 108)
          .put("ETOOMANYREFS", 109)
          .put("ETIMEDOUT", 110)
          .put("ECONNREFUSED", 111)
          .put("EHOSTDOWN", 112)
          .put("EHOSTUNREACH", 113)
          .put("EALREADY", 114)
          .put("EINPROGRESS", 115)
          .put("ESTALE", 116)
          .put("EUCLEAN", 117)
          .put("ENOTNAM", 118)
          .put("ENAVAIL", 119)
          .put("EISNAM", 120)
          .put("EREMOTEIO", 121)
          .put("EDQUOT", 122)
          .put("ENOMEDIUM", 123)
          .put("EMEDIUMTYPE", 124)
          .put("ECANCELED", 125)
          .put("ENOKEY", 126)
          .put("EKEYEXPIRED", 127)
          .put("EKEYREVOKED", 128)
          .put("EKEYREJECTED", 129)
          .put("EOWNERDEAD", 130)
          .put("ENOTRECOVERABLE", 131)
          .put("ERFKILL", 132)
          .put("EHWPOISON", 133)
          .buildOrThrow();

  private static final ImmutableMap<String, String> SECOND_NAMES =
      ImmutableMap.<String, String>builder()
          .put("EDEADLOCK", "EDEADLK")
          .put("ENOTSUP", "EOPNOTSUPP")
          .put("EWOULDBLOCK", "EAGAIN")
          .buildOrThrow();

  private ErrnoNames() {}

  /**
   * The number of an error.
   *
   * @param name as in errno(3): {@code EIO}
   * @throws IllegalArgumentException if x86-64 Linux has no such error
   */
  static int number(String name) {
    Integer number = NUMBERS.get(SECOND_NAMES.getOrDefault(name, name));
    if (number == null) {
      throw new IllegalArgumentException(
          "x86-64 Linux has no error of the name " + name + "; names are as in errno(3): EIO");
    }
    return number;
  }

  /** An error's name, of two the kernel's first one; the number itself where it has no name. */
  static String text(int number) {
    String name = NUMBERS.inverse().get(number);
    return name == null ? Integer.toString(number) : name;
  }
}
