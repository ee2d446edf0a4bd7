package io.github.textpoke.linux;

import com.kenai.jffi.Function;
import com.kenai.jffi.HeapInvocationBuffer;
import com.kenai.jffi.Invoker;
import com.kenai.jffi.Type;
import io.github.textpoke.CodeBytes;
import jnr.ffi.Pointer;

/**
 * Machine code in this JVM, called as a C function. Its memory is writable first and executable
 * then, never both; it stays for the life of the JVM.
 */
public final class NativeCode {
  private static final int PROT_READ = 1;
  private static final int PROT_WRITE = 2;
  private static final int PROT_EXEC = 4;
  private static final int MAP_PRIVATE_ANONYMOUS = 0x22;

  private final Function function;

  private NativeCode(long address) {
    function = new Function(address, Type.SINT64, Type.SINT64);
  }

  /**
   * Maps code.
   *
   * @return null where this machine does not allow it
   */
  public static @org.jspecify.annotations.Nullable NativeCode map(CodeBytes code) {
    long size = code.length();
    long address = Kernel.map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE_ANONYMOUS);
    if (address < 0) {
      return null;
    }
    Pointer.wrap(Libc.RUNTIME, address).put(0, code.toByteArray(), 0, code.length());
    return Kernel.protect(address, size, PROT_READ | PROT_EXEC) == 0
        ? new NativeCode(address)
        : null;
  }

  /** Calls it. */
  public long call(long argument) {
    HeapInvocationBuffer arguments = new HeapInvocationBuffer(function);
    arguments.putLong(argument);
    return Invoker.getInstance().invokeLong(function, arguments);
  }
}
