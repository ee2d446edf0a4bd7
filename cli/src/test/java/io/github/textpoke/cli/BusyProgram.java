package io.github.textpoke.cli;

import java.util.zip.CRC32;
import java.util.zip.Deflater;
import java.util.zip.Inflater;

/** A JVM's work that calls its libc all the time: zlib's streams are allocated by malloc. */
final class BusyProgram {
  private BusyProgram() {}

  public static void main(String[] args) throws Exception {
    while (true) {
      CRC32 sum = new CRC32();
      for (int round = 0; round < 500; round++) {
        byte[] data = new byte[4096];
        for (int i = 0; i < data.length; i++) {
          data[i] = (byte) (i * i + round);
        }
        byte[] packed = new byte[8192];
        Deflater deflater = new Deflater();
        deflater.setInput(data);
        deflater.finish();
        int length = deflater.deflate(packed);
        deflater.end();
        Inflater inflater = new Inflater();
        inflater.setInput(packed, 0, length);
        byte[] unpacked = new byte[4096];
        inflater.inflate(unpacked);
        inflater.end();
        sum.update(packed, 0, length);
        sum.update(unpacked);
      }
      System.out.println(Long.toHexString(sum.getValue()));
    }
  }
}
