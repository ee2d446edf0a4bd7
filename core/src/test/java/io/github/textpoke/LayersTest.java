package io.github.textpoke;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Which package may know which. */
final class LayersTest {
  private static final String ROOT = "io.github.textpoke";
  private static final String LINUX = ROOT + ".linux";

  /** Each package knows only those before it. The first seven are pure: they know no process. */
  private static final List<String> ORDER =
      List.of(
          ROOT + ".internal",
          ROOT,
          ROOT + ".elf",
          ROOT + ".decode",
          ROOT + ".plan",
          ROOT + ".verify",
          ROOT + ".ledger",
          LINUX,
          ROOT + ".process",
          ROOT + ".unwind",
          ROOT + ".apply.internal",
          ROOT + ".apply");

  private static final int PURE = 7;

  private static final JavaClasses CORE =
      new ClassFileImporter()
          .withImportOption(new ImportOption.DoNotIncludeTests())
          .importPackages(ROOT);

  @Test
  void everyPackageHasItsPlaceInTheOrder() {
    assertThat(CORE.stream().map(JavaClass::getPackageName).collect(Collectors.toSet()))
        .containsExactlyInAnyOrderElementsOf(ORDER);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
  void aPackageKnowsNoneThatComesLater(int index) {
    String[] later = ORDER.subList(index + 1, ORDER.size()).toArray(String[]::new);
    noClasses()
        .that()
        .resideInAPackage(ORDER.get(index))
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(later)
        .check(CORE);
  }

  @Test
  void packagesFormNoCycle() {
    slices().matching(ROOT + ".(*)..").should().beFreeOfCycles().check(CORE);
  }

  @Test
  void onlyLinuxNamesJnr() {
    noClasses()
        .that()
        .resideOutsideOfPackage(LINUX)
        .should()
        .dependOnClassesThat()
        .resideInAPackage("jnr..")
        .check(CORE);
    assertThat(CORE.stream().filter(LayersTest::namesJnr)).isNotEmpty();
  }

  @Test
  void linuxIsUsedByProcessAndApplyOnly() {
    classes()
        .that()
        .resideInAPackage(LINUX)
        .should()
        .onlyHaveDependentClassesThat()
        .resideInAnyPackage(LINUX, ROOT + ".process", ROOT + ".apply")
        .check(CORE);
  }

  @Test
  void nothingLogs() {
    noClasses()
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage("java.util.logging..", "org.slf4j..")
        .check(CORE);
  }

  @Test
  void purePackagesKnowNoProcess() {
    noClasses()
        .that()
        .resideInAnyPackage(ORDER.subList(0, PURE).toArray(String[]::new))
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(ORDER.subList(PURE, ORDER.size()).toArray(String[]::new))
        .orShould()
        .dependOnClassesThat()
        .belongToAnyOf(ProcessHandle.class, Process.class, ProcessBuilder.class, Runtime.class)
        .check(CORE);
  }

  private static boolean namesJnr(JavaClass type) {
    return type.getDirectDependenciesFromSelf().stream()
        .anyMatch(dependency -> dependency.getTargetClass().getPackageName().startsWith("jnr"));
  }
}
