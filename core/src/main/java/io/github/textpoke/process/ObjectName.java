package io.github.textpoke.process;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Compares the name that a user gives an object with the file that is mapped. */
final class ObjectName {
  /** {@code libc-2.36.so.6} is {@code libc}, {@code -2.36} and {@code .6}. */
  private static final Pattern LIBRARY = Pattern.compile("(.+?)(-[0-9][0-9.]*)?\\.so(\\.[^/]*)?");

  private ObjectName() {}

  /** Whether {@code name} is the file's path or its base name. */
  static boolean isExactly(String name, Mapping mapping) {
    return name.equals(mapping.path()) || name.equals(mapping.baseName());
  }

  /** Whether {@code name} is what is left of the file's base name without its versions. */
  static boolean isShortFor(String name, Mapping mapping) {
    Matcher library = LIBRARY.matcher(mapping.baseName());
    if (!library.matches()) {
      return false;
    }
    String stem = library.group(1);
    String versioned = library.group(2) == null ? stem : stem + library.group(2);
    return name.equals(stem)
        || name.equals(stem + ".so")
        || name.equals(versioned)
        || name.equals(versioned + ".so");
  }
}
